// Whether one match block takes every request that another takes, by reasoning about its conditions one by one.
// In: two blocks of HTTPMatchRequest. Out: a verdict; "no" also when it cannot be told (two different regexes, say).
// Pure functions over borrowed messages.
// Istio VirtualService: the conditions of a block hold all at once; a path prefix is plain text.
#pragma once

#include <set>
#include <string>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

// One match block of one route, or a route without any (`match` is null: it takes everything).
struct MatchBlock {
    const istio::HTTPMatchRequest* match = nullptr;
    const std::set<std::string>* gateways = nullptr;  // keys through which it can be reached
    const Object<istio::VirtualService>* object = nullptr;
    int route = 0;  // index in spec.http
    int index = 0;  // of the block
};

// Where the text of a StringMatch stands in the order of what takes what.
struct TextMatch {
    enum class Kind { kAny, kExact, kPrefix, kRegex };
    Kind kind = Kind::kAny;
    std::string text;
    bool ignore_case = false;
};
// The path's condition; a prefix of `/` and a regex for everything are kAny.
TextMatch path_of(const istio::HTTPMatchRequest* match);

// Takes every request: such a route goes last where VirtualServices are merged (ctrl/translate).
bool is_catch_all(const istio::HTTPMatchRequest* match);

bool covers(const MatchBlock& wide, const MatchBlock& narrow);

}  // namespace sluice::model
