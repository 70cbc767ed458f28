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

namespace {

using RouteResource = Resource<envoy::config::route::v3::RouteConfiguration>;

uint64_t hash_of(const RouteResource::Message& head, const std::vector<RouteResource::Host>& hosts) {
    std::vector<uint64_t> hashes;
    hashes.reserve(hosts.size());
    for (const auto& host : hosts) hashes.push_back(host.hash());
    const uint64_t hash = XXH3_64bits_withSeed(hashes.data(), hashes.size() * sizeof(uint64_t), content_hash(head));
    return hash != 0 ? hash : 1;
}

}  // namespace

RouteResource::Resource(Message message) {
    auto parts = std::make_shared<Parts>();
    parts->hosts.reserve(static_cast<size_t>(message.virtual_hosts_size()));
    for (auto& host : *message.mutable_virtual_hosts()) parts->hosts.emplace_back(std::move(host));
    message.clear_virtual_hosts();
    parts->head = std::move(message);
    hash_ = hash_of(parts->head, parts->hosts);
    parts_ = std::move(parts);
}

RouteResource::Resource(Message head, std::vector<Host> hosts) {
    auto parts = std::make_shared<Parts>();
    parts->head = std::move(head), parts->hosts = std::move(hosts);
    hash_ = hash_of(parts->head, parts->hosts);
    parts_ = std::move(parts);
}

const std::vector<RouteResource::Host>& RouteResource::hosts() const {
    static const std::vector<Host> kNone;
    return parts_ ? parts_->hosts : kNone;
}

RouteResource::Message RouteResource::message() const {
    Message out = head();
    for (const Host& host : hosts()) *out.add_virtual_hosts() = *host;
    return out;
}

const RouteResource::Message& RouteResource::operator*() const {
    if (!parts_) return Message::default_instance();
    std::call_once(parts_->made_whole, [this] { parts_->whole = message(); });
    return parts_->whole;
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
