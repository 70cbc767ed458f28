// Provenance in and out of Envoy's metadata: two strings in a Struct under our own key.
// In: core.v3.Metadata. Out: Provenance, empty fields where nothing was recorded.
// Writes only its own key; other filters' metadata stays as it is.
// Envoy api/v3 core.Metadata.filter_metadata.
#include "ctrl/xds/resources.h"

namespace sluice::xds {

void set_provenance(envoy::config::core::v3::Metadata& metadata, const Provenance& provenance) {
    auto& fields = *(*metadata.mutable_filter_metadata())[kProvenanceKey].mutable_fields();
    fields["source"].set_string_value(provenance.source);
    fields["object"].set_string_value(provenance.object);
    if (!provenance.field.empty()) fields["field"].set_string_value(provenance.field);
}

Provenance provenance(const envoy::config::core::v3::Metadata& metadata) {
    Provenance found;
    const auto entry = metadata.filter_metadata().find(kProvenanceKey);
    if (entry == metadata.filter_metadata().end()) return found;
    const auto& fields = entry->second.fields();
    if (auto it = fields.find("source"); it != fields.end()) found.source = it->second.string_value();
    if (auto it = fields.find("object"); it != fields.end()) found.object = it->second.string_value();
    if (auto it = fields.find("field"); it != fields.end()) found.field = it->second.string_value();
    return found;
}

}  // namespace sluice::xds
