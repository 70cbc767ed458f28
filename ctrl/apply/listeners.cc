// Listener -> one snapshot::Listener per address, and the routes it asks for.
// In: a listener. Out: its parts; the previous ones if nothing but routes changed, so a route edit never touches a listener.
// Envoy listener.v3: one filter chain with an HTTP connection manager is what we take so far.
#include <algorithm>

#include "ctrl/apply/field_table.h"
#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::listener::v3;

/// The place of the HTTP connection manager in the chain, or -1 if there is none. Checked: one chain, one such filter.
int find_manager(const pb::Listener& in, const At& at) {
    if (in.filter_chains_size() != 1) {
        at.child("filter_chains").refuse(in.filter_chains().empty() ? "a listener without a filter chain"
                                                                   : "choosing among filter chains is not supported yet: give one");
        return -1;
    }
    int found = -1;
    const At chain = at.child("filter_chains", 0);
    for (int i = 0; i < in.filter_chains(0).filters_size(); i++) {
        const auto& config = in.filter_chains(0).filters(i).typed_config();
        const std::string type = extension_type(config);
        if (type == HcmProto::descriptor()->full_name()) {
            if (found >= 0) return chain.child("filters", i).refuse("two HTTP connection managers"), -1;
            found = i;
        } else if (const auto* rule = find_extension(type); !rule || rule->rule != Rule::kIgnore) {
            return chain.child("filters", i).refuse("network filter " + type + " is not supported yet"), -1;
        }
    }
    if (found < 0) chain.child("filters").refuse("no HTTP connection manager");
    return found;
}

bool plain_text(const pb::Listener& in, const At& at) {
    const auto& chain = in.filter_chains(0);
    if (!chain.has_transport_socket()) return true;
    const std::string type = extension_type(chain.transport_socket().typed_config());
    return type == "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" ||
           at.child("filter_chains", 0).child("transport_socket").refuse(type + " is not a plain-text transport socket");
}

/// Hash of all that a Listener does: neither inline routes nor the messages' wrapping of them, nor the place in the files,
/// which a line above it moves: such a listener is the same to its connections.
uint64_t listener_hash(const pb::Listener& in, const HcmProto& manager) {
    pb::Listener bare = in;
    bare.clear_metadata();
    for (auto& filter : *bare.mutable_filter_chains(0)->mutable_filters()) {
        if (extension_type(filter.typed_config()) == HcmProto::descriptor()->full_name()) filter.clear_typed_config();
    }
    HcmProto bare_manager = manager;
    bare_manager.clear_route_config();
    return content_hash(bare_manager, content_hash(bare));
}

std::shared_ptr<const snapshot::Listener> find_previous(const Build& build, uint32_t id, uint64_t hash, const xds::Provenance& place) {
    if (!build.previous) return nullptr;
    for (const auto& listener : build.previous->listeners) {
        if (listener->id == id && listener->content_hash == hash && listener->source == place.source && listener->object == place.object) return listener;
    }
    return nullptr;
}

bool add_address(Build& build, const pb::Listener& in, const snapshot::FilterChain& chain,
                 const envoy::config::core::v3::Address& address, uint64_t hash, const At& at, ReadListener& out) {
    SocketAddress socket;
    if (!read_address(address, socket, at)) return false;
    const uint32_t id = build.publisher.id_of(snapshot::Publisher::IdKind::kListener, in.name() + '\n' + socket.to_string());
    if (id == UINT32_MAX) return at.refuse("more listeners than this gateway has room for");
    hash = mix(hash, socket.to_string());
    const xds::Provenance place = xds::provenance(in.metadata());
    if (auto same = find_previous(build, id, hash, place)) {
        out.listeners.push_back(std::move(same));
        return true;
    }
    auto listener = std::make_shared<snapshot::Listener>();
    listener->content_hash = hash;
    listener->id = id;
    listener->name = in.name();
    listener->source = place.source;
    listener->object = place.object;
    listener->address = socket;
    auto& only = listener->chains.emplace_back(chain);
    only.id = build.publisher.id_of(snapshot::Publisher::IdKind::kChain, in.name() + '\n' + socket.to_string() + '\n' + chain.name);
    if (only.id == UINT32_MAX) return at.refuse("more filter chains than this gateway has room for");
    listener->default_chain = 0;
    out.listeners.push_back(std::move(listener));
    return true;
}

}  // namespace

bool read_listener(Build& build, const pb::Listener& in, ReadListener& out) {
    build.sink.begin("envoy.config.listener.v3.Listener", in.name());
    const At at(build.sink, &in.metadata());
    // Words for what we do not have at all come before the walk's word for each of its fields.
    const int found = find_manager(in, at);
    if (found < 0 || !plain_text(in, at) || !check_fields(in, build.sink)) return false;
    out.manager = std::make_unique<HcmProto>();
    const At chain = at.child("filter_chains", 0);
    const At filter = chain.child("filters", found);
    const At here = filter.child("typed_config");
    if (!out.manager->ParseFromString(in.filter_chains(0).filters(found).typed_config().value())) return here.refuse("does not parse");

    snapshot::FilterChain only;
    only.name = in.filter_chains(0).name();
    snapshot::HttpConnectionManager& http = only.http;
    if (!read_manager(build, *out.manager, http, here)) return false;
    for (const auto& entry : http.filters) out.routes.chain.push_back(entry.name);
    if (out.manager->has_rds()) {
        out.routes.name = out.manager->rds().route_config_name();
        if (out.routes.name.empty()) return here.child("rds.route_config_name").refuse("is missing");
    } else if (out.manager->has_route_config()) {
        out.routes.name = in.name() + "/" + out.manager->route_config().name();
        out.routes.config = &out.manager->route_config();
        out.routes.hash = content_hash(*out.routes.config);
    } else {
        return here.refuse("neither rds nor route_config");
    }
    http.route_config_name = out.routes.name;

    const uint64_t hash = listener_hash(in, *out.manager);
    bool good = add_address(build, in, only, in.address(), hash, at.child("address"), out);
    for (int i = 0; i < in.additional_addresses_size(); i++) {
        good &= add_address(build, in, only, in.additional_addresses(i).address(), hash,
                            at.child("additional_addresses", i).child("address"), out);
    }
    return good;
}

}  // namespace sluice::apply
