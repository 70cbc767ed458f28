// A located YAML subtree -> a protobuf message, by the message's own descriptor.
// In: yaml::Node. Out: the message filled in, and every finding of the subtree, not only the first.
// Borrows the file; the message owns what was read.
// proto3's JSON mapping, as Kubernetes' API server reads it: JSON names only, numbers and text are
// different things; durations as Go writes them (1h30m, 1.5s, 100ms). Field options of options.proto decide
// what is refused (SLC0105), ignored and required (SLC0106).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/yaml.h"

namespace sluice::model {

struct ReadContext {
    const yaml::File& file;
    std::string object;            // VirtualService shop/reviews
    std::vector<Diagnostic>& out;  // findings are appended
};

// `path` is the field path of `node` ("" at an object's top, "spec" below). True when nothing was wrong.
bool read_message(const yaml::Node& node, std::string_view path, ReadContext& context,
                  google::protobuf::Message& message);

// 1h30m, 1.5s, 100ms, 0s; nothing when it is not a duration or beyond 24 days.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace sluice::model
