// Comparing two states of an object without its endpoints' places.
// In: objects. Out: true or false.
// Copies what it compares; called for what changed only.
// Istio ServiceEntry, WorkloadEntry.
#include "ctrl/model/shape.h"

#include <algorithm>
#include <set>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace sluice::model {
namespace {

std::string bytes_of(const google::protobuf::Message& message) {
    std::string bytes;
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
    coded.Trim();
    return bytes;
}

bool same_base(const ObjectBase& a, const ObjectBase& b) {
    return a.kind == b.kind && a.name == b.name && a.ns == b.ns && a.labels == b.labels && a.source() == b.source();
}

/// Labels decide which subsets an endpoint serves; names of ports are checked against the service's.
void forget_place(istio::WorkloadEntry& endpoint) {
    endpoint.clear_address();
    endpoint.clear_weight();
    endpoint.clear_locality();
    for (auto& [name, number] : *endpoint.mutable_ports()) number = 0;
}

/// The service with each kind of endpoint once: another replica of what is there is no news.
std::pair<std::string, std::set<std::string>> shape_of(istio::ServiceEntry entry) {
    std::set<std::string> kinds;
    for (auto& endpoint : *entry.mutable_endpoints()) {
        forget_place(endpoint);
        kinds.insert(bytes_of(endpoint));
    }
    entry.clear_endpoints();
    return {bytes_of(entry), std::move(kinds)};
}

}  // namespace

bool same_secrets(const MeshConfig& a, const MeshConfig& b) {
    return std::equal(a.secrets.begin(), a.secrets.end(), b.secrets.begin(), b.secrets.end(),
                      [](const Secret& one, const Secret& other) { return one.file == other.file && one.root == other.root; });
}

bool same_but_for_endpoints(const Object<istio::ServiceEntry>& a, const Object<istio::ServiceEntry>& b) {
    return same_base(a, b) && shape_of(a.spec) == shape_of(b.spec);
}

bool same_but_for_endpoints(const Object<istio::WorkloadEntry>& a, const Object<istio::WorkloadEntry>& b) {
    if (!same_base(a, b)) return false;
    istio::WorkloadEntry left = a.spec, right = b.spec;
    forget_place(left), forget_place(right);
    return bytes_of(left) == bytes_of(right);
}

}  // namespace sluice::model
