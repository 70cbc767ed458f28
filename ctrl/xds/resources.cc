// Content hashes, and provenance in and out of Envoy's metadata: two strings in a Struct under our own key.
// In: messages. Out: hashes of deterministic serializations; Provenance, empty fields where nothing was recorded.
// Writes only its own key; other filters' metadata stays as it is.
// Envoy api/v3 core.Metadata.filter_metadata.
#include "ctrl/xds/resources.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::xds {

uint64_t content_hash(const google::protobuf::Message& message, uint64_t seed) {
    std::string bytes;
    {
        google::protobuf::io::StringOutputStream stream(&bytes);
        google::protobuf::io::CodedOutputStream coded(&stream);
        coded.SetSerializationDeterministic(true);
        message.SerializeToCodedStream(&coded);
    }
    const uint64_t hash = XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
    return hash != 0 ? hash : 1;
}

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
