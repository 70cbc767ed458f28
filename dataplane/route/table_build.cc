// Compiles a RouteConfiguration: domains, exact paths, prefixes, regexes and conditions into the indexes of table_impl.h.
// In: virtual hosts with the match of each route. Out: a RouteTable, or which virtual host and route is wrong, and why.
// Control thread; 100,000 routes in a fraction of a second. The table owns all it needs; groups of hosts are shared with the table before.
#include <algorithm>
#include <map>
#include <new>

#include "route/table_impl.h"
#include "route/text.h"

namespace sluice::route {
namespace {

// New patterns that one build compiles on the spot (about 0.1 s); more wait for the cache's own thread.
constexpr uint32_t kPatternsAtOnce = 64;
constexpr uint32_t kPathTextBytesMax = 64 * 1024;

/// (text, candidate) pairs of one kind of match, then grouped by text.
struct Texts {
    struct Entry {
        std::string_view text;
        Candidate candidate;
    };
    std::vector<Entry> entries;
    void add(std::string_view text, const Candidate& candidate) { entries.push_back({text, candidate}); }
    /// Sorted distinct texts, and the candidates of each in rising order.
    void group(std::vector<std::string_view>& texts, std::vector<std::vector<Candidate>>& candidates) {
        std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
        for (const Entry& entry : entries) {
            if (texts.empty() || texts.back() != entry.text) {
                texts.push_back(entry.text);
                candidates.emplace_back();
            }
            candidates.back().push_back(entry.candidate);
        }
    }
};

class Builder {
 public:
    explicit Builder(CompiledHosts& table) : table_(table) {}
    Result<void> add(VirtualHostInput& input);
    void finish() { table_.conditions.finish(budget_); }

 private:
    struct PathRegex {
        std::shared_ptr<const re2::RE2> re2;
        std::vector<Candidate> candidates;
    };
    struct Host {
        Texts exact, exact_lower, prefix, prefix_lower;
        std::map<std::string, PathRegex> regexes;
        std::vector<std::string> owned;  // texts in lower case, and "/segment/"
    };
    Result<void> add_route(Host& host, Route& route, const RouteMatch& match);
    void add_exact(Texts& texts, uint32_t space);
    void add_prefixes(Texts& texts, PrefixIndex& index);
    void add_regexes(Host& host, PathIndex& index);
    void finish_host(Host& host, PathIndex& index, LowerPathIndex& lower);

    CompiledHosts& table_;
    uint32_t budget_ = kPatternsAtOnce;
    uint32_t spaces_ = 0;
};

Result<void> Builder::add(VirtualHostInput& input) {
    const std::string& name = input.virtual_host.name;
    Host host;
    host.owned.reserve(input.matches.size() * 2);
    auto& routes = input.virtual_host.routes;
    if (routes.size() != input.matches.size()) return unexpected("virtual host \"" + name + "\": routes and matches differ in number");
    if (routes.size() > CandidateLists::kOrderMax) return unexpected("virtual host \"" + name + "\": too many routes");
    for (uint32_t i = 0; i < routes.size(); i++) {
        routes[i].order = i;
        if (auto added = add_route(host, routes[i], input.matches[i]); !added) {
            return unexpected("virtual host \"" + name + "\": route " + std::to_string(i) +
                              (routes[i].name.empty() ? "" : " (" + routes[i].name + ")") + ": " + added.error());
        }
    }
    finish_host(host, table_.paths.emplace_back(), table_.lower_paths.emplace_back());
    table_.virtual_hosts.push_back(std::move(input.virtual_host));
    return {};
}

Result<void> Builder::add_route(Host& host, Route& route, const RouteMatch& match) {
    if (match.path_text.size() > kPathTextBytesMax) return unexpected("a path of more than 64 KiB");
    const auto conditions = table_.conditions.add(match);
    if (!conditions) return unexpected(conditions.error());
    const Candidate candidate{route.order, *conditions};
    uint64_t weight = 0;
    for (const WeightedCluster& cluster : route.clusters) weight += cluster.weight;
    if (weight > UINT32_MAX) return unexpected("cluster weights add up to more than 4294967295");
    route.total_weight = static_cast<uint32_t>(weight);
    if (route.match_text.empty()) route.match_text = describe(match);

    if (match.path == RouteMatch::Path::kRegex) {
        auto regex = compile_regex(match.path_text);
        if (!regex) return unexpected(regex.error());
        PathRegex& at = host.regexes[match.path_text];
        at.re2 = std::move(*regex);
        at.candidates.push_back(candidate);
        route.matched_prefix_bytes = UINT32_MAX;
        return {};
    }
    route.matched_prefix_bytes = static_cast<uint32_t>(match.path_text.size());
    std::string_view text = match.path_text;
    if (match.ignore_case) text = host.owned.emplace_back(to_lower(text));
    Texts& exact = match.ignore_case ? host.exact_lower : host.exact;
    Texts& prefix = match.ignore_case ? host.prefix_lower : host.prefix;
    switch (match.path) {
        case RouteMatch::Path::kExact:
            exact.add(text, candidate);
            break;
        case RouteMatch::Path::kSegmentPrefix:  // "/a" is "/a" itself and all below "/a/"
            exact.add(text, candidate);
            prefix.add(host.owned.emplace_back(std::string(text) + '/'), candidate);
            break;
        case RouteMatch::Path::kPrefix:
        case RouteMatch::Path::kRegex:
            prefix.add(text, candidate);
            break;
    }
    return {};
}

void Builder::add_exact(Texts& texts, uint32_t space) {
    std::vector<std::string_view> sorted;
    std::vector<std::vector<Candidate>> candidates;
    texts.group(sorted, candidates);
    for (size_t i = 0; i < sorted.size(); i++) {
        table_.exact.insert(space, sorted[i], table_.lists.add(std::move(candidates[i]), CandidateLists::kNone, table_.conditions));
    }
}

void Builder::add_prefixes(Texts& texts, PrefixIndex& index) {
    std::vector<std::string_view> sorted;
    std::vector<std::vector<Candidate>> candidates;
    texts.group(sorted, candidates);
    const std::vector<uint32_t> parents = parents_of(sorted);
    std::vector<uint32_t> lists(sorted.size());
    for (size_t i = 0; i < sorted.size(); i++) {  // parents come first: they sort before what they start
        const uint32_t parent = parents[i] == StringTable::kNone ? CandidateLists::kNone : lists[parents[i]];
        lists[i] = table_.lists.add(std::move(candidates[i]), parent, table_.conditions);
    }
    index.build(table_.prefixes, table_.lengths, spaces_++, sorted, lists);
}

void Builder::add_regexes(Host& host, PathIndex& index) {
    std::vector<std::string> texts;
    for (const auto& [text, regex] : host.regexes) texts.push_back(text);
    index.shards_begin = static_cast<uint32_t>(table_.path_shards.size());
    for (size_t begin = 0; begin < texts.size();) {
        const size_t end = shard_end(texts, begin);
        std::vector<Shard::Pattern> patterns;
        std::vector<uint32_t> lists;
        uint32_t first_order = CandidateLists::kNone;
        for (size_t i = begin; i < end; i++) {
            PathRegex& regex = host.regexes[texts[i]];
            patterns.push_back({texts[i], std::move(regex.re2)});
            lists.push_back(table_.lists.add(std::move(regex.candidates), CandidateLists::kNone, table_.conditions));
            first_order = std::min(first_order, table_.lists.first_order(lists.back()));
        }
        index.first_regex = std::min(index.first_regex, first_order);
        table_.path_shards.push_back({Shard(std::move(patterns), budget_), std::move(lists), first_order});
        begin = end;
    }
    index.shards_end = static_cast<uint32_t>(table_.path_shards.size());
}

void Builder::finish_host(Host& host, PathIndex& index, LowerPathIndex& lower) {
    for (const auto& entry : host.exact_lower.entries) {
        index.lower_bytes = std::max(index.lower_bytes, static_cast<uint32_t>(entry.text.size()));
    }
    for (const auto& entry : host.prefix_lower.entries) {
        index.lower_bytes = std::max({index.lower_bytes, static_cast<uint32_t>(entry.text.size()), 1u});
    }
    index.any_exact = !host.exact.entries.empty();
    index.exact_space = spaces_++;
    lower.exact_space = spaces_++;
    add_exact(host.exact, index.exact_space);
    add_exact(host.exact_lower, lower.exact_space);
    add_prefixes(host.prefix, index.prefix);
    add_prefixes(host.prefix_lower, lower.prefix);
    add_regexes(host, index);
}

/// The table above the groups.
class TableBuilder {
 public:
    TableBuilder(RouteTable::Impl& table, const RouteTable::Impl* before) : table_(table), before_(before) {}
    Result<void> build(std::vector<RouteTable::HostSource>& hosts);

 private:
    void keep(uint32_t number);
    bool same_domains(const std::vector<RouteTable::HostSource>& hosts) const;
    static Result<void> add_domains(HostTable& table, const VirtualHost& host, uint32_t number);
    void copy_paths_by_place();

    RouteTable::Impl& table_;
    const RouteTable::Impl* before_;
    std::vector<uint32_t> group_now_;   // of each group before; UINT32_MAX: none of its hosts is kept so far
};

/// Authorities lead to the numbers that they led to.
bool TableBuilder::same_domains(const std::vector<RouteTable::HostSource>& hosts) const {
    if (!before_ || before_->ignore_port != table_.ignore_port || before_->places.size() != hosts.size()) return false;
    for (uint32_t i = 0; i < hosts.size(); i++) {
        if (hosts[i].kept == i) continue;
        const VirtualHost& now = hosts[i].kept != UINT32_MAX ? *before_->virtual_hosts[hosts[i].kept] : hosts[i].fresh.virtual_host;
        if (now.domains != before_->virtual_hosts[i]->domains) return false;
    }
    return true;
}

Result<void> TableBuilder::add_domains(HostTable& table, const VirtualHost& host, uint32_t number) {
    for (const std::string& domain : host.domains)
        if (auto added = table.add(domain, number); !added) return unexpected("virtual host \"" + host.name + "\": " + added.error());
    return {};
}

void TableBuilder::keep(uint32_t number) {
    const RouteTable::Impl::Place at = before_->places[number];
    if (group_now_.empty()) group_now_.assign(before_->groups.size(), UINT32_MAX);
    uint32_t& group = group_now_[at.group];
    if (group == UINT32_MAX) {
        group = static_cast<uint32_t>(table_.groups.size());
        table_.groups.push_back(before_->groups[at.group]);
    }
    table_.places.push_back({group, at.index, at.weight});
    table_.virtual_hosts.push_back(before_->virtual_hosts[number]);
}

void TableBuilder::copy_paths_by_place() {
    const HostTable& hosts = *table_.hosts;
    table_.paths_by_place = std::make_unique<LargeMemory>(std::max<size_t>(hosts.places(), 1) * sizeof(PathIndex), StringTable::kHugeBytesMin);
    auto* const copies = static_cast<PathIndex*>(table_.paths_by_place->data());
    hosts.for_each_exact([&](size_t place, uint32_t number) {
        const RouteTable::Impl::Place at = table_.places[number];
        auto* copy = new (&copies[place]) PathIndex(table_.compiled(at).paths[at.index]);
        copy->group = static_cast<uint16_t>(at.group);
    });
}

Result<void> TableBuilder::build(std::vector<RouteTable::HostSource>& hosts) {
    const bool same = same_domains(hosts);
    auto domains = std::make_shared<HostTable>();
    auto fresh = std::make_shared<CompiledHosts>();
    Builder builder(*fresh);
    std::vector<uint32_t> numbers;   // of the fresh ones
    for (uint32_t i = 0; i < hosts.size(); i++) {
        const bool kept = hosts[i].kept != UINT32_MAX;
        const VirtualHost& host = kept ? *before_->virtual_hosts[hosts[i].kept] : hosts[i].fresh.virtual_host;
        if (!same)
            if (auto added = add_domains(*domains, host, i); !added) return added;
        if (kept) {
            keep(hosts[i].kept);
            continue;
        }
        if (auto added = builder.add(hosts[i].fresh); !added) return added;
        const size_t weight = fresh->virtual_hosts.back().routes.size() + 1;
        table_.places.push_back({UINT32_MAX, static_cast<uint32_t>(numbers.size()), static_cast<uint32_t>(weight)});
        fresh->weight += weight;
        table_.virtual_hosts.push_back(nullptr);
        numbers.push_back(i);
    }
    builder.finish();
    for (size_t i = 0; i < numbers.size(); i++) {
        table_.places[numbers[i]].group = static_cast<uint32_t>(table_.groups.size());
        table_.virtual_hosts[numbers[i]] = &fresh->virtual_hosts[i];
    }
    if (!numbers.empty()) table_.groups.push_back(std::move(fresh));
    if (!same) domains->finish(table_.ignore_port);
    table_.hosts = same ? before_->hosts : std::move(domains);
    copy_paths_by_place();
    return {};
}

constexpr size_t kGroupsMax = 32;   // of a table; beyond, the smaller half is compiled into one

}  // namespace

std::vector<bool> RouteTable::worn_out(const RouteTable& before, const std::vector<bool>& unchanged) {
    const Impl& table = *before.impl_;
    struct Use {
        size_t group = 0, living = 0;   // weight of hosts that stay
        bool worn = false;
    };
    std::vector<Use> uses(table.groups.size());
    for (size_t i = 0; i < table.places.size(); i++)
        if (i < unchanged.size() && unchanged[i]) uses[table.places[i].group].living += table.places[i].weight;
    size_t kept = 0;
    for (size_t g = 0; g < uses.size(); g++) {
        uses[g].group = g;
        uses[g].worn = uses[g].living * 2 < table.groups[g]->weight || table.groups[g]->could_adopt();
        kept += !uses[g].worn;
    }
    if (kept >= kGroupsMax) {
        std::vector<Use> by_size = uses;
        std::sort(by_size.begin(), by_size.end(), [](const Use& a, const Use& b) { return a.living < b.living; });
        for (size_t i = 0; i < by_size.size() && kept > kGroupsMax / 2; i++)
            if (Use& use = uses[by_size[i].group]; !use.worn) use.worn = true, kept--;
    }
    std::vector<bool> out(table.places.size());
    for (size_t i = 0; i < out.size(); i++) out[i] = i < unchanged.size() && unchanged[i] && uses[table.places[i].group].worn;
    return out;
}

Result<std::shared_ptr<const RouteTable>> RouteTable::build(Options options, const RouteTable* before, std::vector<HostSource> hosts) {
    auto impl = std::make_unique<Impl>();
    impl->name = std::move(options.name);
    impl->request_headers = std::move(options.request_headers);
    impl->response_headers = std::move(options.response_headers);
    impl->ignore_port = options.ignore_port;
    if (auto built = TableBuilder(*impl, before ? before->impl_.get() : nullptr).build(hosts); !built) return unexpected(built.error());
    return std::shared_ptr<const RouteTable>(new RouteTable(std::move(impl)));
}

Result<std::shared_ptr<const RouteTable>> RouteTable::build(std::string name, std::vector<VirtualHostInput> hosts, HeaderOps request_headers,
                                                            HeaderOps response_headers, bool ignore_port) {
    std::vector<HostSource> sources(hosts.size());
    for (size_t i = 0; i < hosts.size(); i++) sources[i].fresh = std::move(hosts[i]);
    return build({std::move(name), std::move(request_headers), std::move(response_headers), ignore_port}, nullptr, std::move(sources));
}

}  // namespace sluice::route
