// Which virtual host serves an authority, by Envoy's order: exact, then the longest "*suffix", then the longest "prefix*",
// then "*". A wildcard stands for at least one byte. Case is ignored. Envoy's rules for the rest:
//  - the port is part of the authority ("shop.example:80" is a domain of its own) unless `ignore_port`;
//  - a trailing dot is not stripped: "shop.example." is another name than "shop.example".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "route/prefix_index.h"
#include "route/string_table.h"

namespace sluice::route {

inline constexpr uint32_t kDomainBytesMax = 512;

class HostTable {
 public:
    /// Registers a domain as written; on failure says what is wrong with it. `owner` is the virtual host's index.
    Result<void> add(std::string_view domain, uint32_t owner);
    /// After the last add().
    void finish(bool ignore_port);
    struct Hit {
        uint32_t owner = StringTable::kNone;          // StringTable::kNone: nobody
        size_t place = StringTable::kNowhere;         // of an exact domain
    };
    /// `beside`: what the caller keeps by place, a cache line each, is asked for while the name is compared; nullptr: nothing.
    Hit find(std::string_view authority, const void* beside = nullptr) const;
    /// Places there are, and f(place, owner) for every exact domain. After finish().
    size_t places() const { return table_.places(); }
    template <typename F>
    void for_each_exact(F&& f) const {
        table_.for_each([&](size_t place, uint32_t space, uint32_t owner) {
            if (space == kExactSpace) f(place, owner);
        });
    }

 private:
    static constexpr uint32_t kExactSpace = 0, kSuffixSpace = 1, kPrefixSpace = 2;
    static constexpr uint32_t kSuffixSeenSpace = 3, kPrefixSeenSpace = 4;  // to find a wildcard that is given twice
    struct Wildcard {
        std::string text;  // without the star, lower case; suffixes reversed
        uint32_t owner;
    };
    static void finish_index(PrefixIndex& index, std::vector<Wildcard>& wildcards, StringTable& table,
                             std::vector<uint32_t>& lengths, uint32_t space);

    StringTable table_;
    std::vector<uint32_t> lengths_;
    std::vector<Wildcard> suffixes_, prefixes_;  // only while building
    PrefixIndex suffix_, prefix_;
    uint32_t any_ = StringTable::kNone;
    bool ignore_port_ = false;
};

}  // namespace sluice::route
