// What a control plane tells one proxy: named xDS resources, one map per type, whole state of the world.
// In: whoever computes or receives them (ctrl/translate, later the ADS client). Out: ctrl/apply.
// A resource never changes once made and carries the hash of its content: sets share what they have in common, so that a copy
// with one resource replaced costs that resource. std::map keeps the order stable for dumps.
// xDS v3 as published by Envoy (generated from its protos, see ctrl/xds/meson.build).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace sluice::xds {

/// Hash of a message's deterministic serialization, mixed with `seed`. Never 0.
uint64_t content_hash(const google::protobuf::Message& message, uint64_t seed = 0);

/// One immutable resource, shared by the sets that have it. Equal hashes mean equal content.
template <typename Message>
class Resource {
 public:
    Resource() = default;   // an empty message
    Resource(Message message)
        : message_(std::make_shared<const Message>(std::move(message))), hash_(xds::content_hash(*message_)) {}
    /// By reference, so that `set.clusters[cluster.name()] = std::move(cluster)` reads the name first.
    Resource& operator=(Message&& message) { return *this = Resource(std::move(message)); }
    Resource& operator=(const Message& message) { return *this = Resource(message); }

    const Message& operator*() const { return message_ ? *message_ : Message::default_instance(); }
    const Message* operator->() const { return &**this; }
    operator const Message&() const { return **this; }
    const Message& message() const { return **this; }
    /// 0: of a resource that was never given a message.
    uint64_t hash() const { return hash_; }
    /// The same object, not only the same content.
    bool is(const Resource& other) const { return message_ == other.message_ && hash_ == other.hash_; }
    bool operator==(const Resource& other) const { return hash_ == other.hash_; }

    /// Replaced by a copy that `change(Message&)` was let at.
    template <typename Change>
    void edit(Change&& change) {
        Message copy = **this;
        change(copy);
        *this = Resource(std::move(copy));
    }

 private:
    std::shared_ptr<const Message> message_;
    uint64_t hash_ = 0;
};

/// A RouteConfiguration is held as its virtual hosts, each shared by the configurations that have it, and the rest: one host among
/// 10,000 is replaced at that host's cost (what Envoy's VHDS is for on the wire). Immutable like the others; its hash is of the parts'.
template <>
class Resource<envoy::config::route::v3::RouteConfiguration> {
 public:
    using Message = envoy::config::route::v3::RouteConfiguration;
    using Host = Resource<envoy::config::route::v3::VirtualHost>;

    Resource() = default;
    Resource(Message message);
    /// `head` is without virtual hosts.
    Resource(Message head, std::vector<Host> hosts);
    Resource& operator=(Message&& message) { return *this = Resource(std::move(message)); }
    Resource& operator=(const Message& message) { return *this = Resource(message); }

    const Message& head() const { return parts_ ? parts_->head : Message::default_instance(); }
    const std::vector<Host>& hosts() const;
    /// In one message, made for the caller.
    Message message() const;
    /// The same, made at the first call and kept: for tests and small configurations. Any thread.
    const Message& operator*() const;
    const Message* operator->() const { return &**this; }
    operator const Message&() const { return **this; }
    uint64_t hash() const { return hash_; }
    bool is(const Resource& other) const { return parts_ == other.parts_ && hash_ == other.hash_; }
    bool operator==(const Resource& other) const { return hash_ == other.hash_; }
    template <typename Change>
    void edit(Change&& change) {
        Message copy = message();
        change(copy);
        *this = Resource(std::move(copy));
    }

 private:
    struct Parts {
        Message head;
        std::vector<Host> hosts;
        mutable std::once_flag made_whole;
        mutable Message whole;
    };
    std::shared_ptr<const Parts> parts_;
    uint64_t hash_ = 0;
};

/// Resources of one type by name. Copies share all until one is changed, so that an unchanged type costs nothing to keep.
template <typename Message>
class Resources {
 public:
    using Map = std::map<std::string, Resource<Message>>;
    using const_iterator = typename Map::const_iterator;
    using value_type = typename Map::value_type;

    const_iterator begin() const { return map_->begin(); }
    const_iterator end() const { return map_->end(); }
    const_iterator find(const std::string& name) const { return map_->find(name); }
    bool contains(const std::string& name) const { return map_->contains(name); }
    const Resource<Message>& at(const std::string& name) const { return map_->at(name); }
    size_t size() const { return map_->size(); }
    bool empty() const { return map_->empty(); }
    /// The very same ones.
    bool is(const Resources& other) const { return map_ == other.map_; }

    /// To change them: a copy of its own, unless nobody else has it.
    Map& own() {
        if (map_.use_count() != 1) map_ = std::make_shared<Map>(*map_);
        return *map_;
    }
    Resource<Message>& operator[](const std::string& name) { return own()[name]; }
    void erase(const std::string& name) {
        if (contains(name)) own().erase(name);
    }
    void clear() { map_ = std::make_shared<Map>(); }

 private:
    std::shared_ptr<Map> map_ = std::make_shared<Map>();
};

// Where a resource, virtual host or route came from. Carried in metadata.filter_metadata["sluice"]
// as {source: "mesh/reviews.yaml:9", object: "VirtualService shop/reviews", field: "spec.http[0]"}; all may be empty.
struct Provenance {
    std::string source;      // file:line
    std::string object;      // kind namespace/name
    std::string field = {};  // of the object, what the resource was made of

    bool operator==(const Provenance&) const = default;
};

struct ResourceSet {
    Resources<envoy::config::listener::v3::Listener> listeners;
    Resources<envoy::config::route::v3::RouteConfiguration> routes;
    Resources<envoy::config::cluster::v3::Cluster> clusters;
    Resources<envoy::config::endpoint::v3::ClusterLoadAssignment> endpoints;
    Resources<envoy::extensions::transport_sockets::tls::v3::Secret> secrets;
    std::map<std::string, Provenance> secret_places;   // a Secret has no metadata to carry it
    std::map<std::string, std::string> secret_errors;  // of those without content: why, for people
};

inline constexpr char kProvenanceKey[] = "sluice";

void set_provenance(envoy::config::core::v3::Metadata& metadata, const Provenance& provenance);
Provenance provenance(const envoy::config::core::v3::Metadata& metadata);

}  // namespace sluice::xds
