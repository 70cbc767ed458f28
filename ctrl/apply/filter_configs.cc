// The table of filter readers: those of filters built in, and those registered at start.
// In: readers of static life. Out: look-ups.
// The router takes nothing from its config: the field table lets only values through that it behaves by anyway.
#include "ctrl/apply/filter_configs.h"

#include <vector>

#include "filter/router.h"

namespace sluice::apply {
namespace {

ConfigResult nothing(const google::protobuf::Any&) { return std::shared_ptr<const filter::Config>(); }

std::vector<FilterReader>& readers() {
    static std::vector<FilterReader> all = {{filter::kRouterTypeUrl, "", nothing, nullptr}};
    return all;
}

}  // namespace

const FilterReader* find_filter_reader(std::string_view type_url) {
    for (const FilterReader& reader : readers()) {
        if (reader.type_url == type_url) return &reader;
    }
    return nullptr;
}

const FilterReader* find_route_reader(std::string_view route_type_url) {
    for (const FilterReader& reader : readers()) {
        if (!reader.route_type_url.empty() && reader.route_type_url == route_type_url) return &reader;
    }
    return nullptr;
}

void register_filter_reader(const FilterReader& reader) {
    if (!find_filter_reader(reader.type_url)) readers().push_back(reader);
}

}  // namespace sluice::apply
