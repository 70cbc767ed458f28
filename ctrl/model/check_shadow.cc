// Routes and match blocks that no request reaches: earlier ones take theirs, or nothing arrives where they ask.
// In: one VirtualService, or those that share a host. Out: findings, SLC0118 for a route, SLC0124 for one of several blocks, SLC0127 for merged routes.
// Owns an index of the blocks seen so far for the length of one VirtualService, or of those that share a host.
// Istio's IST0130 and IST0131; its merge rule for several VirtualServices of one host.
//
// 10,000 routes must not cost 10,000 x 10,000 comparisons: a block can only be taken by one whose path condition is one of a
// few texts (its own path, and each of its prefixes that is in use), and whose first exact header, if any, is one of its own.
// What remains (thousands of blocks alike but for regexes) is cut by a budget, and said so.
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/gateway_hosts.h"
#include "ctrl/model/match_cover.h"
#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

using VirtualServiceObject = Object<istio::VirtualService>;
using Kind = TextMatch::Kind;

class ShadowIndex {
 public:
    explicit ShadowIndex(size_t& budget) : budget_(budget) {}

    // An earlier block that takes all that this one would; null when there is none, or the budget is spent.
    const MatchBlock* covering(const MatchBlock& block) {
        for (const std::string& path : wider_paths(path_of(block.match)))
            for (const std::string& header : own_headers(block.match)) {
                const auto bucket = buckets_.find(path + header);
                if (bucket == buckets_.end()) continue;
                for (const MatchBlock* earlier : bucket->second) {
                    if (budget_ == 0) return nullptr;
                    --budget_;
                    if (covers(*earlier, block)) return earlier;
                }
            }
        return nullptr;
    }

    void add(const MatchBlock& block) {
        const TextMatch path = path_of(block.match);
        if (path.kind == Kind::kPrefix) prefix_lengths_.insert(path.text.size());
        // The last of own_headers() is the most telling one to be found under.
        buckets_[key(path.kind, path.ignore_case, path.text) + own_headers(block.match).back()].push_back(&block);
    }

 private:
    static std::string key(Kind kind, bool ignore_case, std::string_view text) {
        constexpr char kLetters[] = {'a', 'e', 'p', 'r'};
        std::string out(1, kLetters[static_cast<size_t>(kind)]);
        out += ignore_case ? 'i' : '-';
        out += ignore_case ? lower(text) : std::string(text);
        return out + '\n';
    }

    // Keys of the path conditions that take all that this one takes.
    std::vector<std::string> wider_paths(const TextMatch& path) const {
        std::vector<std::string> out = {key(Kind::kAny, false, "")};
        if (path.kind == Kind::kAny) return out;
        if (path.kind == Kind::kRegex) {
            out.push_back(key(Kind::kRegex, false, path.text));
            return out;
        }
        for (const bool ignore_case : {false, true}) {
            if (path.ignore_case && !ignore_case) continue;
            if (path.kind == Kind::kExact) out.push_back(key(Kind::kExact, ignore_case, path.text));
            for (const size_t length : prefix_lengths_) {
                if (length > path.text.size()) break;
                out.push_back(key(Kind::kPrefix, ignore_case, std::string_view(path.text).substr(0, length)));
            }
        }
        return out;
    }

    // "" and each header that must have one value, sorted: who takes this block asks for none or for one of these.
    static std::vector<std::string> own_headers(const istio::HTTPMatchRequest* match) {
        std::vector<std::string> out = {""};
        if (match)
            for (const auto& [name, value] : match->headers())
                if (!value.exact().empty()) out.push_back(lower(name) + '=' + value.exact());
        std::sort(out.begin(), out.end());
        return out;
    }

    size_t& budget_;
    std::set<size_t> prefix_lengths_;
    std::unordered_map<std::string, std::vector<const MatchBlock*>> buckets_;
};

// The match blocks of VirtualServices, each with the Gateways through which it can be reached.
class Blocks {
 public:
    // `only`: the one Gateway of interest, or "" for all of the object's.
    void add(const VirtualServiceObject& object, const std::string& only) {
        std::set<std::string> all;
        for (const std::string& name : object.spec.gateways()) all.insert(gateway_key(name, object.ns));
        if (all.empty()) all.insert("mesh");
        if (!only.empty()) all = {only};
        const std::set<std::string>& everywhere = gateways_.emplace_back(std::move(all));
        for (int h = 0; h < object.spec.http_size(); ++h) {
            const istio::HTTPRoute& route = object.spec.http(h);
            if (route.match().empty()) blocks_.push_back({nullptr, &everywhere, &object, h, 0});
            for (int m = 0; m < route.match_size(); ++m) {
                const std::set<std::string>* through = reach(route.match(m), object, everywhere);
                if (!through->empty() || only.empty()) blocks_.push_back({&route.match(m), through, &object, h, m});
            }
        }
    }

    // As ctrl/translate merges: routes that take everything go last.
    void catch_all_last() {
        std::stable_partition(blocks_.begin(), blocks_.end(), [](const MatchBlock& b) { return !is_catch_all(b.match); });
    }

    const std::deque<MatchBlock>& all() const { return blocks_; }

 private:
    const std::set<std::string>* reach(const istio::HTTPMatchRequest& match, const VirtualServiceObject& object,
                                       const std::set<std::string>& everywhere) {
        if (match.gateways().empty()) return &everywhere;
        std::set<std::string> out;
        for (const std::string& name : match.gateways())
            if (everywhere.contains(gateway_key(name, object.ns))) out.insert(gateway_key(name, object.ns));
        return &gateways_.emplace_back(std::move(out));
    }

    std::deque<MatchBlock> blocks_;
    std::deque<std::set<std::string>> gateways_;
};

std::string path_of_block(const MatchBlock& block) {
    return block.match ? fmt::format("spec.http[{}].match[{}]", block.route, block.index) : fmt::format("spec.http[{}]", block.route);
}

std::string taken_by(const MatchBlock& by, const MatchBlock& block) {
    const std::string path = path_of_block(by);
    if (by.object == block.object)
        return fmt::format("`{}` in line {} takes every such request", path, yaml::locate(*by.object->root, path).at.line);
    return fmt::format("`{}` of {} at {} takes every such request", path, by.object->id(), by.object->source(path));
}

class ShadowChecker {
 public:
    // `gateways`: null where what arrives at all is not asked for.
    ShadowChecker(const GatewayHosts* gateways, size_t& budget, std::vector<Diagnostic>& out) : hosts_(gateways), budget_(budget), out_(out) {}
    // `counts`: a block that takes another only counts if this says so.
    template <typename Counts>
    void look(const Blocks& blocks, Counts counts);

 private:
    std::string dead(const MatchBlock& block) const;
    void tell(const MatchBlock& block, const std::string& why, bool whole_route);

    const GatewayHosts* hosts_;
    size_t& budget_;
    std::vector<Diagnostic>& out_;
};

// Why nothing arrives at the block at all; empty when something may.
std::string ShadowChecker::dead(const MatchBlock& block) const {
    if (!block.match) return "";
    if (block.gateways->empty()) return "its `gateways` are none of the VirtualService's";
    if (block.match->port() == 0 || block.gateways->contains("mesh")) return "";
    for (const std::string& key : *block.gateways)
        if (!hosts_->known(key) || hosts_->has_port(key, block.match->port())) return "";
    return fmt::format("no server of its Gateways has port {}", block.match->port());
}

template <typename Counts>
void ShadowChecker::look(const Blocks& blocks, Counts counts) {
    ShadowIndex index(budget_);
    const auto& all = blocks.all();
    std::vector<std::pair<const MatchBlock*, std::string>> lost;  // of the route at hand
    for (size_t i = 0; i < all.size();) {
        size_t end = i;
        lost.clear();
        for (; end < all.size() && all[end].object == all[i].object && all[end].route == all[i].route; ++end) {
            std::string why = hosts_ ? dead(all[end]) : "";
            if (why.empty())
                if (const MatchBlock* by = index.covering(all[end]); by && counts(*by, all[end])) why = taken_by(*by, all[end]);
            if (!why.empty()) lost.emplace_back(&all[end], std::move(why));
        }
        const auto parts = static_cast<size_t>(std::max(1, all[i].object->spec.http(all[i].route).match_size()));
        const bool whole_route = lost.size() == parts;
        if (whole_route) tell(*lost.front().first, lost.front().second, true);
        else for (const auto& [block, why] : lost) tell(*block, why, false);
        for (; i < end; ++i) index.add(all[i]);
    }
}

void ShadowChecker::tell(const MatchBlock& block, const std::string& why, bool whole_route) {
    Checker c(*block.object, out_);
    if (whole_route) c.report("SLC0118", fmt::format("spec.http[{}]", block.route), "never reached: " + why);
    else c.report("SLC0124", path_of_block(block), "never used: " + why);
}

}  // namespace

void check_shadows(const GatewayHosts& gateways, const VirtualServiceObject& object, bool shares, size_t& budget, std::vector<Diagnostic>& out) {
    Blocks blocks;
    blocks.add(object, "");
    ShadowChecker(&gateways, budget, out).look(blocks, [&](const MatchBlock& by, const MatchBlock&) { return !shares || !is_catch_all(by.match); });
}

void check_merged(const VirtualServices& services, const std::pair<std::string, std::string>& gateway_and_host, size_t& budget, std::vector<Diagnostic>& out) {
    const auto& [gateway, host] = gateway_and_host;
    for (size_t i = 1; i < services.size(); ++i) {
        Checker c(*services[i], out);
        const auto* first = services.front();
        c.report("SLC0127", "spec.hosts", fmt::format("{} on Gateway {} is also of {} at {}: their routes are merged, that one's first",
                                                      host, gateway, first->id(), first->source("spec.hosts")));
    }
    Blocks blocks;
    for (const auto* service : services) blocks.add(*service, gateway);
    blocks.catch_all_last();
    // What one object says about its own routes is told of it alone, but for routes that take everything: those have moved.
    ShadowChecker(nullptr, budget, out).look(blocks, [](const MatchBlock& by, const MatchBlock& block) { return by.object != block.object || is_catch_all(by.match); });
}

void tell_shadows_unfinished(const VirtualServiceObject& last, std::vector<Diagnostic>& out) {
    Checker(last, out).report("SLC0134", "spec.http", "so many routes are alike that the search for unreachable ones ended before this one");
}

}  // namespace sluice::model
