// Building of and look-up in the host table.
// In: domains of a RouteConfiguration; an authority as received. Out: the index of its virtual host.
// Owns its texts; find() works on the stack. Envoy route.v3.VirtualHost.domains.
#include "route/host_table.h"

#include <algorithm>

#include "route/text.h"

namespace sluice::route {
namespace {

/// Where the ":port" begins, or the size. A colon inside an IPv6 literal's brackets is none.
size_t port_begin(std::string_view authority) {
    const size_t colon = authority.rfind(':');
    if (colon == std::string_view::npos) return authority.size();
    const size_t bracket = authority.rfind(']');
    return bracket != std::string_view::npos && bracket > colon ? authority.size() : colon;
}

}  // namespace

Result<void> HostTable::add(std::string_view domain, uint32_t owner) {
    if (domain.empty()) return unexpected("an empty domain");
    if (domain.size() > kDomainBytesMax) return unexpected("a domain longer than 512 bytes");
    const std::string lower = to_lower(domain);
    if (lower == "*") {
        if (any_ != StringTable::kNone) return unexpected("domain \"*\" is given twice");
        any_ = owner;
        return {};
    }
    const size_t star = lower.find('*');
    if (star == std::string::npos) {
        if (!table_.insert(kExactSpace, lower, owner)) return unexpected("domain \"" + lower + "\" is given twice");
        return {};
    }
    if (star == 0 && lower.find('*', 1) == std::string::npos) {
        suffixes_.push_back({std::string(lower.rbegin(), lower.rend() - 1), owner});
    } else if (star == lower.size() - 1) {
        prefixes_.push_back({lower.substr(0, star), owner});
    } else {
        return unexpected("domain \"" + lower + "\": a star may stand only at the start or at the end");
    }
    auto& wildcards = star == 0 ? suffixes_ : prefixes_;
    if (!table_.insert(star == 0 ? kSuffixSeenSpace : kPrefixSeenSpace, wildcards.back().text, owner)) {
        return unexpected("domain \"" + lower + "\" is given twice");
    }
    return {};
}

void HostTable::finish(bool ignore_port) {
    ignore_port_ = ignore_port;
    finish_index(suffix_, suffixes_, table_, lengths_, kSuffixSpace);
    finish_index(prefix_, prefixes_, table_, lengths_, kPrefixSpace);
}

void HostTable::finish_index(PrefixIndex& index, std::vector<Wildcard>& wildcards, StringTable& table,
                             std::vector<uint32_t>& lengths, uint32_t space) {
    std::sort(wildcards.begin(), wildcards.end(), [](const Wildcard& a, const Wildcard& b) { return a.text < b.text; });
    std::vector<std::string_view> texts;
    std::vector<uint32_t> owners;
    for (const Wildcard& wildcard : wildcards) {
        texts.push_back(wildcard.text);
        owners.push_back(wildcard.owner);
    }
    index.build(table, lengths, space, texts, owners);
    wildcards.clear();
}

HostTable::Hit HostTable::find(std::string_view authority, const void* beside) const {
    if (ignore_port_) authority = authority.substr(0, port_begin(authority));
    if (authority.empty()) return {any_};
    char lower[kDomainBytesMax];
    if (authority.size() <= sizeof lower) {
        to_lower(authority, lower);
        const std::string_view host(lower, authority.size());
        const uint64_t hash = StringTable::hash_of(kExactSpace, host);
        if (beside) __builtin_prefetch(static_cast<const char*>(beside) + table_.home_of(hash) * 64);
        if (const size_t place = table_.place_of(kExactSpace, host, hash); place != StringTable::kNowhere) return {table_.value_at(place), place};
    }
    if (!suffix_.empty()) {
        // One byte is left for the star to stand for.
        const size_t size = std::min<size_t>(authority.size() - 1, suffix_.longest());
        for (size_t i = 0; i < size; i++) lower[i] = to_lower(authority[authority.size() - 1 - i]);
        const uint32_t owner = suffix_.find(table_, lengths_, {lower, size});
        if (owner != StringTable::kNone) return {owner};
    }
    if (!prefix_.empty()) {
        const size_t size = std::min<size_t>(authority.size() - 1, prefix_.longest());
        to_lower(authority.substr(0, size), lower);
        const uint32_t owner = prefix_.find(table_, lengths_, {lower, size});
        if (owner != StringTable::kNone) return {owner};
    }
    return {any_};
}

}  // namespace sluice::route
