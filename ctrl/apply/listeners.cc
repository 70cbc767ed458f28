// Listener -> one snapshot::Listener per address, and the routes it asks for.
// In: a listener. Out: its parts; the previous ones if nothing but routes changed, so a route edit never touches a listener.
// Envoy listener.v3: filter chains, each with one HTTP connection manager; certificates are the chains' tables' (build.cc), not its own.
#include <algorithm>

#include "ctrl/apply/field_table.h"
#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::listener::v3;

/// The place of the HTTP connection manager in the chain, or -1 if there is none. Checked: one such filter.
int find_manager(const FilterChainProto& in, const At& chain) {
    int found = -1;
    for (int i = 0; i < in.filters_size(); i++) {
        const auto& config = in.filters(i).typed_config();
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

/// All chains, the default one last.
std::vector<std::pair<const FilterChainProto*, At>> chains_of(const pb::Listener& in, const At& at) {
    std::vector<std::pair<const FilterChainProto*, At>> out;
    for (int i = 0; i < in.filter_chains_size(); i++) out.emplace_back(&in.filter_chains(i), at.child("filter_chains", i, &in.filter_chains(i).metadata()));
    if (in.has_default_filter_chain()) out.emplace_back(&in.default_filter_chain(), at.child("default_filter_chain"));
    return out;
}

/// Hash of all that a Listener does: neither inline routes nor the messages' wrapping of them, nor the place in the files,
/// which a line above it moves: such a listener is the same to its connections.
uint64_t listener_hash(const pb::Listener& in, const ReadListener& read) {
    pb::Listener bare = in;
    bare.clear_metadata();
    const auto strip = [](FilterChainProto& chain) {
        for (auto& filter : *chain.mutable_filters())
            if (extension_type(filter.typed_config()) == HcmProto::descriptor()->full_name()) filter.clear_typed_config();
    };
    for (auto& chain : *bare.mutable_filter_chains()) strip(chain);
    if (bare.has_default_filter_chain()) strip(*bare.mutable_default_filter_chain());
    uint64_t hash = content_hash(bare);
    for (const ReadChain& chain : read.chains) {
        HcmProto manager = *chain.manager;
        manager.clear_route_config();
        hash = content_hash(manager, hash);
    }
    return hash;
}

std::shared_ptr<const snapshot::Listener> find_previous(const Build& build, uint32_t id, uint64_t hash, const xds::Provenance& place) {
    if (!build.previous) return nullptr;
    for (const auto& listener : build.previous->listeners) {
        if (listener->id == id && listener->content_hash == hash && listener->source == place.source && listener->object == place.object) return listener;
    }
    return nullptr;
}

/// Names of chains differ within a listener: their own, or what they match.
std::vector<std::string> chain_keys(const pb::Listener& in) {
    std::vector<std::string> keys;
    const auto add = [&](std::string key) {
        const auto same = std::count(keys.begin(), keys.end(), key);
        keys.push_back(same == 0 ? key : key + '#' + std::to_string(keys.size()));
    };
    for (const auto& chain : in.filter_chains())
        add(!chain.name().empty() || !chain.has_filter_chain_match() ? chain.name() : '=' + std::to_string(content_hash(chain.filter_chain_match())));
    if (in.has_default_filter_chain()) add("default " + in.default_filter_chain().name());
    return keys;
}

bool add_address(Build& build, const pb::Listener& in, const snapshot::Listener& made, const envoy::config::core::v3::Address& address, uint64_t hash,
                 const At& at, ReadListener& out) {
    SocketAddress socket;
    if (!read_address(address, socket, at)) return false;
    const uint32_t id = build.publisher.id_of(snapshot::Publisher::IdKind::kListener, in.name() + '\n' + socket.to_string());
    if (id == UINT32_MAX) return at.refuse("more listeners than this gateway has room for");
    const std::vector<std::string> keys = chain_keys(in);
    std::vector<uint32_t> chain_ids;
    for (const std::string& key : keys) {
        chain_ids.push_back(build.publisher.id_of(snapshot::Publisher::IdKind::kChain, in.name() + '\n' + socket.to_string() + '\n' + key));
        if (chain_ids.back() == UINT32_MAX) return at.refuse("more filter chains than this gateway has room for");
    }
    hash = mix(hash, socket.to_string());
    const xds::Provenance place = xds::provenance(in.metadata());
    if (auto same = find_previous(build, id, hash, place)) {
        out.listeners.push_back(std::move(same));
        return true;
    }
    auto listener = std::make_shared<snapshot::Listener>(made);
    listener->content_hash = hash;
    listener->id = id;
    listener->name = in.name();
    listener->source = place.source;
    listener->object = place.object;
    listener->address = socket;
    for (size_t i = 0; i < chain_ids.size(); i++) listener->chains[i].id = chain_ids[i];
    out.listeners.push_back(std::move(listener));
    return true;
}

bool read_chain(Build& build, const pb::Listener& listener, const FilterChainProto& in, snapshot::FilterChain& out, ReadChain& read, const At& at) {
    const int found = find_manager(in, at);
    if (found < 0) return false;
    read.manager = std::make_unique<HcmProto>();
    const At filter = at.child("filters", found);
    const At here = filter.child("typed_config");
    if (!read.manager->ParseFromString(in.filters(found).typed_config().value())) return here.refuse("does not parse");
    out.name = in.name();
    snapshot::HttpConnectionManager& http = out.http;
    if (!read_manager(build, *read.manager, http, here)) return false;
    if (in.has_transport_socket_connect_timeout() && !read_duration(in.transport_socket_connect_timeout(), out.connect_timeout, at.child("transport_socket_connect_timeout"))) return false;
    ServerSocket socket;
    const bool logged = http.access_logs && http.access_logs->captures().certificate_texts(false);
    const bool texts = http.client_cert_details.cert || http.client_cert_details.chain || logged;
    if (!read_server_socket(build, in.transport_socket(), texts, socket, at.child("transport_socket"))) return false;
    out.tls = socket.tls, out.tls_text = socket.mode, read.tls = std::move(socket.context);
    for (const auto& entry : http.filters) read.routes.chain.push_back(entry.name);
    if (read.manager->has_rds()) {
        read.routes.name = read.manager->rds().route_config_name();
        if (read.routes.name.empty()) return here.child("rds.route_config_name").refuse("is missing");
    } else if (read.manager->has_route_config()) {
        read.routes.name = listener.name() + "/" + read.manager->route_config().name();
        read.routes.config = RouteResource(read.manager->route_config());
    } else {
        return here.refuse("neither rds nor route_config");
    }
    http.route_config_name = read.routes.name;
    return true;
}

/// The chains' matches, compiled. A lone chain without one takes everything.
bool build_index(const pb::Listener& in, snapshot::Listener& out, const At& at) {
    std::vector<route::ChainMatch> matches(static_cast<size_t>(in.filter_chains_size()));
    bool good = true;
    for (int i = 0; i < in.filter_chains_size(); i++) {
        auto& match = matches[static_cast<size_t>(i)];
        good &= read_chain_match(in.filter_chains(i), match, at.child("filter_chains", i));
        out.chains[static_cast<size_t>(i)].match_text = describe(match);
    }
    if (!good) return false;
    if (in.has_default_filter_chain()) out.default_chain = in.filter_chains_size();
    if (!in.has_default_filter_chain() && matches.size() == 1 && in.filter_chains(0).filter_chain_match().ByteSizeLong() == 0) {
        out.default_chain = 0;
        return true;
    }
    auto index = route::ChainIndex::build(matches);
    if (!index) return at.child("filter_chains").refuse(index.error());
    out.chain_index = std::move(*index);
    out.inspect_tls = out.chain_index.needs_hello();
    return true;
}

}  // namespace

bool read_listener(Build& build, const pb::Listener& in, ReadListener& out) {
    build.sink.begin("envoy.config.listener.v3.Listener", in.name());
    const At at(build.sink, &in.metadata());
    const auto chains = chains_of(in, at);
    if (chains.empty()) return at.child("filter_chains").refuse("a listener without a filter chain");
    // Words for what we do not have at all come before the walk's word for each of its fields.
    for (const auto& [chain, here] : chains)
        if (find_manager(*chain, here) < 0) return false;
    if (!check_fields(in, build.sink)) return false;
    snapshot::Listener made;
    made.chains.resize(chains.size());
    out.chains.resize(chains.size());
    bool good = true;
    for (size_t i = 0; i < chains.size(); i++) good &= read_chain(build, in, *chains[i].first, made.chains[i], out.chains[i], chains[i].second);
    if (!good || !build_index(in, made, at)) return false;
    if (in.has_listener_filters_timeout() && !read_duration(in.listener_filters_timeout(), made.inspect_timeout, at.child("listener_filters_timeout"))) return false;
    made.continue_on_inspect_timeout = in.continue_on_listener_filters_timeout();

    const uint64_t hash = listener_hash(in, out);
    good = add_address(build, in, made, in.address(), hash, at.child("address"), out);
    for (int i = 0; i < in.additional_addresses_size(); i++) {
        good &= add_address(build, in, made, in.additional_addresses(i).address(), hash,
                            at.child("additional_addresses", i).child("address"), out);
    }
    return good;
}

}  // namespace sluice::apply
