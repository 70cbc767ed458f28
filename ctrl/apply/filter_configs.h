// Readers of HTTP filters' configuration: type URL -> typed_config -> the immutable Config that the data plane's filter takes.
// In: Any, whose fields the walk has already checked against the field table. Out: a Config (nullptr: the filter needs none),
// or what is wrong. Registered at start, one thread; a filter without a reader here is refused by name.
#pragma once

#include <google/protobuf/any.pb.h>

#include <memory>
#include <string_view>

#include "base/result.h"
#include "filter/registry.h"

namespace sluice::apply {

using ConfigResult = Result<std::shared_ptr<const filter::Config>>;

struct FilterReader {
    std::string_view type_url;        // as of the filter's factory
    std::string_view route_type_url;  // of typed_per_filter_config; empty: the filter takes none
    ConfigResult (*read)(const google::protobuf::Any& config) = nullptr;
    ConfigResult (*read_route)(const google::protobuf::Any& config) = nullptr;
};

const FilterReader* find_filter_reader(std::string_view type_url);
const FilterReader* find_route_reader(std::string_view route_type_url);
void register_filter_reader(const FilterReader& reader);

}  // namespace sluice::apply
