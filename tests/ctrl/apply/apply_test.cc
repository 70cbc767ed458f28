// From resources to tables: what is read, shared, kept stable, and what is refused in which words.
#include <filesystem>
#include <fstream>

#include <chrono>
#include <iostream>

#include "ctrl/apply/field_table.h"
#include "tests/ctrl/apply/support.h"

namespace sluice::apply::test {
namespace {

TEST(ApplyFields, TheTableNamesRealFields) { EXPECT_EQ(table_errors(), ""); }

World small_world() {
    World world;
    world.listener(listener_text());
    world.routes(routes_text("routes { match { prefix: \"/\" } route { cluster: \"a\" } }"));
    world.cluster(cluster_text("a"));
    world.endpoints("cluster_name: \"a\" endpoints { " + endpoint_text("10.0.0.1") + endpoint_text("10.0.0.2") + "}");
    return world;
}

TEST(ApplyListener, ReadsTheManager) {
    World world;
    world.listener(listener_text(R"(
        use_remote_address { value: true } xff_num_trusted_hops: 2 normalize_path { value: true } merge_slashes: true
        path_with_escaped_slashes_action: REJECT_REQUEST server_name: "edge" server_header_transformation: APPEND_IF_ABSENT
        max_request_headers_kb { value: 16 } stream_idle_timeout {} request_timeout { seconds: 7 nanos: 500000000 }
        request_headers_timeout { seconds: 3 } generate_request_id { value: false } preserve_external_request_id: true
        common_http_protocol_options { idle_timeout { seconds: 60 } max_headers_count { value: 50 } }
        access_log { name: "f" typed_config { [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] { path: "/dev/stdout" } } }
        )", R"(additional_addresses { address { socket_address { address: "::" port_value: 80 } } } traffic_direction: OUTBOUND
        metadata { filter_metadata { key: "sluice" value { fields { key: "source" value { string_value: "mesh/gw.yaml:3" } }
        fields { key: "object" value { string_value: "Gateway shop/edge" } } } } })"));
    ASSERT_EQ(world.apply(), Refusals{});
    ASSERT_EQ(world.now().listeners.size(), 2u);
    const snapshot::Listener& listener = *world.now().listeners[0];
    EXPECT_EQ(listener.address.to_string(), "0.0.0.0:80");
    EXPECT_EQ(world.now().listeners[1]->address.to_string(), "[::]:80");
    EXPECT_NE(world.now().listeners[1]->id, listener.id);
    EXPECT_EQ(listener.source, "mesh/gw.yaml:3");
    EXPECT_EQ(listener.object, "Gateway shop/edge");
    const auto& http = listener.chains[0].http;
    EXPECT_EQ(http.route_config_name, "http.80");
    EXPECT_TRUE(http.use_remote_address);
    EXPECT_EQ(http.xff_num_trusted_hops, 2u);
    EXPECT_TRUE(http.path.normalize);
    EXPECT_TRUE(http.path.merge_slashes);
    EXPECT_EQ(http.path.escaped_slashes, http::h1::PathOptions::EscapedSlashes::kReject);
    EXPECT_EQ(http.server_name, "edge");
    EXPECT_EQ(http.server_header, snapshot::HttpConnectionManager::ServerHeader::kAppendIfAbsent);
    EXPECT_EQ(http.limits.header_bytes, 16u * 1024);
    EXPECT_EQ(http.limits.headers, 50u);
    EXPECT_EQ(http.stream_idle_timeout, seconds(0));
    EXPECT_EQ(http.request_timeout, milliseconds(7500));
    EXPECT_EQ(http.request_headers_timeout, seconds(3));
    EXPECT_EQ(http.idle_timeout, seconds(60));
    EXPECT_FALSE(http.generate_request_id);
    EXPECT_TRUE(http.preserve_external_request_id);
    EXPECT_TRUE(http.access_log);
    ASSERT_EQ(http.filters.size(), 1u);
    EXPECT_TRUE(http.filters[0].factory->terminal);
    EXPECT_EQ(world.now().chains[listener.chains[0].id].routes, nullptr) << "routes are not there yet";
}

TEST(ApplyListener, TakesIstiosHarmlessFilters) {
    World world;
    world.listener(listener_text(std::string(R"(
        http_filters { name: "istio.metadata_exchange" typed_config { [type.googleapis.com/udpa.type.v1.TypedStruct] { type_url: "type.googleapis.com/io.istio.http.peer_metadata.Config" } } }
        http_filters { name: "envoy.filters.http.cors" typed_config { [type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors] {} } }
        http_filters { name: "istio.stats" typed_config { type_url: "type.googleapis.com/stats.PluginConfig" } } )") + kRouterFilter));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().listeners[0]->chains[0].http.filters.size(), 1u);
}

TEST(ApplyListener, RefusesWhatItDoesNotSupport) {
    const auto refusals = [](const std::string& text) {
        World world;
        world.listener(text);
        return world.apply();
    };
    const std::string manager = "filter_chains[0].filters[0].typed_config.";
    EXPECT_EQ(refusals(listener_text("tracing {} via: \"x\"")),
              (Refusals{manager + "tracing: tracing is not supported yet", manager + "via: not supported"}));
    EXPECT_EQ(refusals(listener_text("path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT")),
              (Refusals{manager + "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT is not supported (only KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_FORWARD)"}));
    EXPECT_EQ(refusals(listener_text("codec_type: HTTP2")), (Refusals{manager + "codec_type: HTTP2 is not supported (only HTTP1)"}));
    EXPECT_EQ(refusals(listener_text("request_timeout { seconds: -1 }")), (Refusals{manager + "request_timeout: a negative duration"}));
    EXPECT_EQ(refusals(listener_text("server_name: \"a\\r\\nb\"")), (Refusals{manager + "server_name: holds a control character"}));
    EXPECT_EQ(refusals(listener_text("http_filters { name: \"x\" typed_config { type_url: \"type.googleapis.com/x.Unknown\" } }")),
              (Refusals{manager + "http_filters[0].typed_config: extension x.Unknown is not supported"}));
    EXPECT_EQ(refusals(listener_text("http_filters { name: \"c\" typed_config { [type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors] {} } }")),
              (Refusals{manager + "http_filters: no terminal filter (the router) at the end of the chain"}));
    EXPECT_EQ(refusals(R"(name: "tcp" address { socket_address { address: "0.0.0.0" port_value: 5432 } } filter_chains { filters { name: "t"
              typed_config { type_url: "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" } } })"),
              (Refusals{"filter_chains[0].filters[0]: network filter envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy is not supported yet"}));
    EXPECT_EQ(refusals(R"(name: "none" address { socket_address { address: "0.0.0.0" port_value: 80 } })"),
              (Refusals{"filter_chains: a listener without a filter chain"}));
    EXPECT_EQ(refusals(listener_text("", "address { socket_address { address: \"localhost\" port_value: 80 } }")),
              (Refusals{"address.socket_address.address: \"localhost\" is not an IP address"}));
    EXPECT_EQ(refusals(listener_text("", "address { socket_address { address: \"10.0.0.1\" port_value: 70000 } }")),
              (Refusals{"address.socket_address.port_value: 70000 is not a port (1 to 65535)"}));
}

TEST(ApplyListener, TwoOnOneAddressAreRefused) {
    World world;
    world.listener(listener_text());
    world.resources.listeners["other"] = world.resources.listeners["0.0.0.0_80"];
    world.resources.listeners["other"].edit([](auto& listener) { listener.set_name("other"); });
    EXPECT_EQ(world.apply(), (Refusals{"address: 0.0.0.0:80 is taken by listener 0.0.0.0_80"}));
}

TEST(ApplyListener, TakesInlineRoutes) {
    World world;
    world.listener(listener_text(R"(route_config { name: "in" virtual_hosts { name: "v" domains: "*"
        routes { match { prefix: "/" } direct_response { status: 418 body { inline_string: "tea\n" } } } } })"));
    ASSERT_EQ(world.apply(), Refusals{});
    const auto* table = world.now().chains[world.now().listeners[0]->chains[0].id].routes;
    ASSERT_NE(table, nullptr);
    EXPECT_EQ(table->virtual_hosts()[0].routes[0].direct.body, "tea\n");
    const auto listener = world.now().listeners[0];
    world.listener(listener_text(R"(route_config { name: "in" virtual_hosts { name: "v" domains: "*"
        routes { match { prefix: "/" } direct_response { status: 200 } } } })"));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().listeners[0], listener) << "a route edit never touches a listener";
    EXPECT_EQ(world.now().chains[listener->chains[0].id].routes->virtual_hosts()[0].routes[0].direct.status, 200);
}

TEST(ApplyRoutes, ReadsActionsAndHeaders) {
    World world = small_world();
    world.cluster(cluster_text("b"));
    world.routes(routes_text(R"x(
        routes { name: "split" match { prefix: "/w" headers { name: "x-user" string_match { safe_regex { regex: "a.*" } } } query_parameters { name: "q" present_match: true } }
            route { weighted_clusters { clusters { name: "a" weight { value: 90 } response_headers_to_add { header { key: "X-V" value: "1" } } } clusters { name: "b" weight { value: 10 } } clusters { name: "gone" weight { value: 0 } } }
                    timeout { seconds: 2 } idle_timeout { seconds: 4 } prefix_rewrite: "/new" host_rewrite_literal: "h.example" }
            request_headers_to_add { header { key: "X-Add" value: "%PROTOCOL%" } append_action: OVERWRITE_IF_EXISTS_OR_ADD } request_headers_to_remove: "X-Gone" }
        routes { match { safe_regex { regex: "/item/([0-9]+)" } } route { cluster: "a" regex_rewrite { pattern { regex: "/item/([0-9]+)" } substitution: "/i/\\1" } } }
        routes { match { path: "/go" case_sensitive { value: false } } redirect { host_redirect: "o.example" path_redirect: "/there" port_redirect: 8443 response_code: PERMANENT_REDIRECT strip_query: true https_redirect: true } }
        routes { match { path_separated_prefix: "/seg" } direct_response { status: 418 } }
        metadata { filter_metadata { key: "sluice" value { fields { key: "source" value { string_value: "mesh/r.yaml:9" } } } } } )x",
        "request_headers_to_remove: \"x-all\" ignore_port_in_host_matching: true"));
    ASSERT_EQ(world.apply(), Refusals{});
    const route::RouteTable& table = *world.now().routes[0];
    EXPECT_EQ(table.request_headers().remove, std::vector<std::string>{"x-all"});
    EXPECT_EQ(table.virtual_hosts()[0].source, "mesh/r.yaml:9");
    const auto& routes = table.virtual_hosts()[0].routes;
    EXPECT_EQ(routes[0].match_text, "prefix /w header x-user=~a.* query q");
    ASSERT_EQ(routes[0].clusters.size(), 3u);
    EXPECT_EQ(routes[0].clusters[0].cluster_id, world.find_cluster("a")->id);
    EXPECT_EQ(routes[0].clusters[2].cluster_id, UINT32_MAX);
    EXPECT_EQ(routes[0].total_weight, 100u);
    EXPECT_EQ(routes[0].clusters[0].response_headers.add[0].name, "x-v");
    EXPECT_EQ(routes[0].timeout, seconds(2));
    EXPECT_EQ(routes[0].idle_timeout, seconds(4));
    EXPECT_EQ(routes[0].rewrite.text, "/new");
    EXPECT_EQ(routes[0].rewrite.host, "h.example");
    EXPECT_EQ(routes[0].request_headers.add[0].append, route::HeaderOps::Append::kOverwriteIfExistsOrAdd);
    EXPECT_EQ(routes[0].request_headers.remove, std::vector<std::string>{"x-gone"});
    EXPECT_EQ(routes[1].rewrite.path, route::Rewrite::Path::kRegex);
    EXPECT_EQ(routes[1].timeout, std::nullopt);
    EXPECT_EQ(routes[2].redirect.status, 308);
    EXPECT_EQ(routes[2].redirect.port, 8443);
    EXPECT_TRUE(routes[2].redirect.strip_query);
    EXPECT_EQ(routes[3].direct.status, 418);
    EXPECT_EQ(world.now().chains[world.now().listeners[0]->chains[0].id].routes, &table);
}

TEST(ApplyRoutes, RefusesByFieldAndReason) {
    const auto refusals = [](const std::string& route) {
        World world = small_world();
        world.routes(routes_text("routes { " + route + " }"));
        return world.apply();
    };
    const std::string any = "match { prefix: \"/\" } ";
    const std::string at = "virtual_hosts[0].routes[0].";
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" retry_policy {} }"), (Refusals{at + "route.retry_policy: retries are not supported yet"}));
    EXPECT_EQ(refusals(any + "route { cluster_header: \"x\" }"), (Refusals{at + "route.cluster_header: not supported"}));
    EXPECT_EQ(refusals(any + "route {}"), (Refusals{at + "route: a route without a cluster: give cluster or weighted_clusters"}));
    EXPECT_EQ(refusals("route { cluster: \"a\" }"), (Refusals{at + "match: a match without a path: give prefix, path, path_separated_prefix or safe_regex"}));
    EXPECT_EQ(refusals("match { safe_regex { regex: \"(\" } } route { cluster: \"a\" }"),
              (Refusals{at + "match.safe_regex.regex: bad regex: missing ): ("}));
    EXPECT_EQ(refusals("match { prefix: \"/\" headers { name: \"x\" range_match { start: 1 end: 2 } } } route { cluster: \"a\" }"),
              (Refusals{at + "match.headers[0].range_match: not supported"}));
    EXPECT_EQ(refusals(any + "direct_response { status: 99 }"), (Refusals{at + "direct_response.status: 99 is not a status from 200 to 599"}));
    EXPECT_EQ(refusals(any + "direct_response { status: 200 body { filename: \"/etc/shadow\" } }"),
              (Refusals{at + "direct_response.body.filename: not supported"}));
    EXPECT_EQ(refusals(any + "direct_response { status: 200 body { inline_string: \"" + std::string(5000, 'x') + "\" } }"),
              (Refusals{at + "direct_response.body: longer than max_direct_response_body_size_bytes (4096)"}));
    EXPECT_EQ(refusals(any + "route { weighted_clusters { clusters { name: \"a\" weight { value: 0 } } } }"),
              (Refusals{at + "route.weighted_clusters: weights add up to nothing"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" prefix_rewrite: \"/a b\" }"),
              (Refusals{at + "route.prefix_rewrite: \"/a b\" holds a space or a byte that is not ASCII: percent-encode it"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" regex_rewrite { pattern { regex: \"/(a)\" } substitution: \"/\\\\2\" } }"),
              (Refusals{at + "route.regex_rewrite.substitution: \"/\\2\" refers to a group that the pattern does not have"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" } request_headers_to_add { header { key: \"Host\" value: \"x\" } }"),
              (Refusals{at + "request_headers_to_add[0].header.key: host is not changed as a header: use host_rewrite_literal"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" } request_headers_to_remove: \"transfer-encoding\""),
              (Refusals{at + "request_headers_to_remove[0]: transfer-encoding is the connection's own and may not be changed"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" } response_headers_to_add { header { key: \"x\" value: \"%NOPE%\" } }"),
              (Refusals{at + "response_headers_to_add[0].header.value: \"%NOPE%\" uses a %FORMAT% operator that is not supported (a percent sign is written %%)"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" } response_headers_to_add { header { key: \"x\" value: \"a\\nb\" } }"),
              (Refusals{at + "response_headers_to_add[0].header.value: holds a control character"}));
    EXPECT_EQ(refusals(any + "route { cluster: \"a\" } typed_per_filter_config { key: \"f\" value { type_url: \"type.googleapis.com/x.Unknown\" } }"),
              (Refusals{at + "typed_per_filter_config[f]: extension x.Unknown is not supported"}));
}

TEST(ApplyRoutes, SaysWhereAUserWroteIt) {
    World world = small_world();
    world.routes(routes_text(R"(routes { match { prefix: "/" } route { cluster: "a" hash_policy {} }
        metadata { filter_metadata { key: "sluice" value { fields { key: "source" value { string_value: "mesh/reviews.yaml:14" } }
        fields { key: "object" value { string_value: "VirtualService shop/reviews" } } } } } })"));
    auto built = build(world.resources, nullptr, world.publisher, 1, "v");
    ASSERT_FALSE(built);
    const Diagnostic diagnostic = to_diagnostic(built.error()[0]);
    EXPECT_EQ(diagnostic.file, "mesh/reviews.yaml");
    EXPECT_EQ(diagnostic.line, 14);
    EXPECT_EQ(diagnostic.object, "VirtualService shop/reviews");
    EXPECT_EQ(diagnostic.message, "consistent hashing is not supported yet (in RouteConfiguration http.80)");
}

// The field of the object that the resource was made of comes first, and its line is fetched from the mesh directory.
TEST(ApplyRoutes, SaysWhichFieldOfTheObjectAndItsLine) {
    const auto folder = std::filesystem::path(testing::TempDir()) / "sluice_apply_lines";
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "reviews.yaml") << "kind: VirtualService\nspec:\n  http:\n  - timeout: 1s\n";
    Nack nack{"envoy.config.route.v3.RouteConfiguration", "http.80", "virtual_hosts[0].routes[2].route.retry_policy", "retries are not supported yet",
              {"mesh/reviews.yaml:4", "VirtualService shop/reviews", "spec.http[0]"}};
    Diagnostic diagnostic = to_diagnostic(nack);
    EXPECT_EQ(diagnostic.field, "spec.http[0]");
    EXPECT_EQ(diagnostic.message, "retries are not supported yet (in RouteConfiguration http.80: virtual_hosts[0].routes[2].route.retry_policy)");
    show_line(diagnostic, folder, "mesh");
    EXPECT_EQ(diagnostic.source_line, "  - timeout: 1s");
    EXPECT_EQ(diagnostic.column, 5);
    // A file that has changed since, or is gone, and a resource that nobody wrote: no line, and no harm.
    for (const char* source : {"mesh/reviews.yaml:40", "mesh/gone.yaml:1", "elsewhere/reviews.yaml:1", ""}) {
        nack.place.source = source;
        diagnostic = to_diagnostic(nack);
        show_line(diagnostic, folder, "mesh");
        EXPECT_EQ(diagnostic.source_line, "") << source;
    }
    std::filesystem::remove_all(folder);
}

TEST(ApplyClusters, ReadsPolicyLimitsAndEndpoints) {
    World world;
    world.cluster(cluster_text("a", R"(lb_policy: LEAST_REQUEST least_request_lb_config { choice_count { value: 4 } } connect_timeout { seconds: 3 }
        circuit_breakers { thresholds { max_connections { value: 7 } max_pending_requests { value: 8 } } }
        typed_extension_protocol_options { key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" value {
            [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
                common_http_protocol_options { idle_timeout { seconds: 9 } max_requests_per_connection { value: 5 } } explicit_http_config { http_protocol_options {} } } } })"));
    world.endpoints("cluster_name: \"a\" endpoints { priority: 1 " + endpoint_text("10.0.1.1") + "} endpoints { locality { region: \"eu\" zone: \"1\" } " +
                    endpoint_text("10.0.0.1", 80, "load_balancing_weight { value: 3 }") + endpoint_text("10.0.0.2", 80, "health_status: UNHEALTHY") +
                    endpoint_text("10.0.0.3", 80, "health_status: DRAINING") + endpoint_text("2001:db8::1", 80) + "}");
    ASSERT_EQ(world.apply(), Refusals{});
    const upstream::Cluster& cluster = *world.find_cluster("a");
    EXPECT_EQ(cluster.policy, upstream::LbPolicy::kLeastRequest);
    EXPECT_EQ(cluster.least_request_choices, 4u);
    EXPECT_EQ(cluster.connect_timeout, seconds(3));
    EXPECT_EQ(cluster.idle_timeout, seconds(9));
    EXPECT_EQ(cluster.max_connections, 7u);
    EXPECT_EQ(cluster.max_pending_requests, 8u);
    EXPECT_EQ(cluster.max_requests, 1024u) << "Envoy's default";
    EXPECT_EQ(cluster.max_requests_per_connection, 5u);
    const upstream::EndpointSet& set = *cluster.endpoints;
    ASSERT_EQ(set.endpoints.size(), 3u);
    EXPECT_EQ(set.endpoints[0].address.to_string(), "10.0.0.1:80");
    EXPECT_EQ(set.endpoints[0].locality, "eu/1");
    EXPECT_EQ(set.endpoints[1].address.to_string(), "[2001:db8::1]:80");
    EXPECT_EQ(set.endpoints[2].priority, 1);
    ASSERT_EQ(set.left_out.size(), 2u) << "shown, never picked";
    EXPECT_EQ(set.left_out[0].address.to_string(), "10.0.0.2:80");
    EXPECT_EQ(set.left_out[0].why, upstream::LeftOut::kUnhealthy);
    EXPECT_EQ(set.left_out[1].why, upstream::LeftOut::kDraining);
    EXPECT_EQ(set.lowest_priority_count, 2u);
    EXPECT_EQ(set.cumulative_weight, (std::vector<uint32_t>{3, 4}));
    EXPECT_FALSE(set.equal_weights);
}

TEST(ApplyClusters, StaticOnesAndOnesWithoutEndpoints) {
    World world;
    world.cluster(cluster_text("eds"));
    world.cluster("name: \"static\" type: STATIC load_assignment { cluster_name: \"static\" endpoints { " + endpoint_text("10.0.0.9") + "} }");
    world.cluster("name: \"BlackHoleCluster\" type: STATIC");
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.find_cluster("eds")->endpoints->endpoints.size(), 0u);
    EXPECT_EQ(world.find_cluster("static")->endpoints->endpoints.size(), 1u);
    EXPECT_EQ(world.find_cluster("BlackHoleCluster")->endpoints->endpoints.size(), 0u);
}

TEST(ApplyClusters, WeighsLocalitiesWhereAsked) {
    World world;
    world.cluster(cluster_text("a", "common_lb_config { locality_weighted_lb_config {} healthy_panic_threshold {} }"));
    world.endpoints("cluster_name: \"a\" endpoints { load_balancing_weight { value: 80 } " + endpoint_text("10.0.0.1") + endpoint_text("10.0.0.2") +
                    "} endpoints { load_balancing_weight { value: 20 } " + endpoint_text("10.0.0.3") + "} endpoints { " + endpoint_text("10.0.0.4") + "}");
    ASSERT_EQ(world.apply(), Refusals{});
    const auto& endpoints = world.find_cluster("a")->endpoints->endpoints;
    ASSERT_EQ(endpoints.size(), 3u);
    EXPECT_EQ(endpoints[0].weight, endpoints[1].weight);
    EXPECT_EQ(endpoints[0].weight, endpoints[2].weight * 2) << "80/2 against 20";
}

TEST(ApplyClusters, RefusesByFieldAndReason) {
    const auto refusals = [](const std::string& cluster, const std::string& endpoints = "") {
        World world;
        world.cluster(cluster);
        if (!endpoints.empty()) world.endpoints("cluster_name: \"a\" endpoints { " + endpoints + "}");
        return world.apply();
    };
    EXPECT_EQ(refusals("name: \"a\" type: STRICT_DNS"), (Refusals{"type: STRICT_DNS is not supported (only STATIC, EDS)"}));
    EXPECT_EQ(refusals(cluster_text("a", "lb_policy: RING_HASH")),
              (Refusals{"lb_policy: RING_HASH is not supported (only ROUND_ROBIN, LEAST_REQUEST, RANDOM)"}));
    EXPECT_EQ(refusals(cluster_text("a", "outlier_detection {}")), (Refusals{"outlier_detection: outlier detection is not supported yet"}));
    EXPECT_EQ(refusals(cluster_text("a", "common_lb_config { healthy_panic_threshold { value: 50 } }")),
              (Refusals{"common_lb_config.healthy_panic_threshold: above 0% is not supported (only 0%)"}));
    EXPECT_EQ(refusals(cluster_text("a"), endpoint_text("backend.example")),
              (Refusals{"endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: \"backend.example\" is not an IP address"}));
    EXPECT_EQ(refusals(cluster_text("a"), "lb_endpoints { endpoint { address { pipe { path: \"/x\" } } } }"),
              (Refusals{"endpoints[0].lb_endpoints[0].endpoint.address.pipe: not supported"}));
}

TEST(ApplySharing, UnchangedPartsStayAndIdsAreStable) {
    World world = small_world();
    world.cluster(cluster_text("b"));
    world.routes("name: \"other\" virtual_hosts { name: \"v\" domains: \"*\" routes { match { prefix: \"/\" } route { cluster: \"late\" } } }");
    ASSERT_EQ(world.apply(), Refusals{});
    const auto listener = world.now().listeners[0].get();
    const auto a = world.find_cluster("a"), b = world.find_cluster("b");
    const auto endpoint_id = a->endpoints->endpoints[1].id, b_id = b->id;
    const auto table = world.now().routes[0].get(), other = world.now().routes[1].get();
    const auto stat = table->virtual_hosts()[0].routes[0].stat_id;

    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().listeners[0].get(), listener);
    EXPECT_EQ(world.find_cluster("a"), a);
    EXPECT_EQ(world.now().routes[0].get(), table);
    EXPECT_EQ(world.now().routes[1].get(), other);

    // Endpoints of a change: a is new, everything else is shared, the endpoint that stays keeps its id.
    world.endpoints("cluster_name: \"a\" endpoints { " + endpoint_text("10.0.0.2") + "}");
    // And a cluster that a route was waiting for appears: that table alone is built anew.
    world.cluster(cluster_text("late"));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().listeners[0].get(), listener);
    EXPECT_EQ(world.find_cluster("b"), b);
    EXPECT_EQ(world.find_cluster("b")->id, b_id);
    EXPECT_EQ(world.find_cluster("a")->endpoints->endpoints[0].id, endpoint_id);
    EXPECT_EQ(world.now().routes[0].get(), table);
    EXPECT_NE(world.now().routes[1].get(), other);
    EXPECT_EQ(world.now().routes[1]->virtual_hosts()[0].routes[0].clusters[0].cluster_id, world.find_cluster("late")->id);

    // A route is put before another: the table is new, the old route keeps its counter.
    world.routes(routes_text("routes { match { prefix: \"/new\" } route { cluster: \"b\" } } routes { match { prefix: \"/\" } route { cluster: \"a\" } }"));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().routes[0]->virtual_hosts()[0].routes[1].stat_id, stat);
    EXPECT_NE(world.now().routes[0]->virtual_hosts()[0].routes[0].stat_id, stat);
}

TEST(ApplySharing, AListenerThatMovedInItsFileIsTheSameToItsConnections) {
    World world = small_world();
    const auto move_to = [&](const char* source) {
        world.resources.listeners.own().begin()->second.edit([&](auto& listener) { xds::set_provenance(*listener.mutable_metadata(), {source, "Gateway shop/edge"}); });
        ASSERT_EQ(world.apply(), Refusals{});
    };
    move_to("mesh/edge.yaml:1");
    const uint64_t hash = world.now().listeners[0]->content_hash;
    const uint32_t id = world.now().listeners[0]->id;
    move_to("mesh/edge.yaml:9");
    EXPECT_EQ(world.now().listeners[0]->content_hash, hash) << "by which its open connections go on";
    EXPECT_EQ(world.now().listeners[0]->id, id);
    EXPECT_EQ(world.now().listeners[0]->source, "mesh/edge.yaml:9");
}

TEST(ApplySharing, ARefusedSetLeavesEverythingInForce) {
    World world = small_world();
    ASSERT_EQ(world.apply(), Refusals{});
    const snapshot::Snapshot* before = &world.now();
    const xds::ResourceSet good = world.resources;
    world.cluster(cluster_text("x", "health_checks {}"));
    world.resources.listeners.clear();
    EXPECT_FALSE(world.apply().empty());
    EXPECT_EQ(&world.now(), before);
    world.resources = good;
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.now().listeners.size(), 1u);
    EXPECT_EQ(world.find_cluster("x"), nullptr);
}

TEST(ApplyHostile, DeepAndEndlessComplaintsAreBounded) {
    World world;
    std::string routes;
    for (int i = 0; i < 500; i++) routes += "routes { match { prefix: \"/\" } route { cluster: \"a\" retry_policy {} } } ";
    world.routes(routes_text(routes));
    EXPECT_EQ(world.apply().size(), kNacksMax);
}

TEST(ApplySize, AHundredThousandRoutesAndEndpoints) {
    World world;
    world.listener(listener_text());
    envoy::config::route::v3::RouteConfiguration config;
    config.set_name("http.80");
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.set_cluster_name("a");
    auto& locality = *assignment.add_endpoints();
    auto& host = *config.add_virtual_hosts();
    host.set_name("any");
    host.add_domains("*");
    constexpr int kMany = 100'000;
    for (int i = 0; i < kMany; i++) {
        auto& route = *host.add_routes();
        route.mutable_match()->set_prefix("/service-" + std::to_string(i) + "/");
        route.mutable_route()->set_cluster("a");
        auto& address = *locality.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
        address.set_address("10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255));
        address.set_port_value(80);
    }
    world.resources.routes["http.80"] = config;
    world.resources.endpoints["a"] = assignment;
    world.cluster(cluster_text("a"));
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(world.apply(), Refusals{});
    const auto whole = std::chrono::steady_clock::now();
    ASSERT_EQ(world.apply(), Refusals{});
    const auto again = std::chrono::steady_clock::now();
    const auto ms = [](auto d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); };
    std::cout << "100,000 routes and endpoints: " << ms(whole - start) << " ms, unchanged: " << ms(again - whole) << " ms\n";
    EXPECT_EQ(world.now().routes[0]->virtual_hosts()[0].routes.size(), static_cast<size_t>(kMany));
    EXPECT_EQ(world.find_cluster("a")->endpoints->endpoints.size(), static_cast<size_t>(kMany));
}

std::string istio_metadata(const std::string& fields) {
    return "metadata { filter_metadata { key: \"istio\" value { " + fields + " } } } ";
}
std::string workload(const std::string& text) {
    return istio_metadata("fields { key: \"workload\" value { string_value: \"" + text + "\" } }");
}

TEST(Destinations, AreNamedByTheMetadataOfClustersAndEndpoints) {
    World world;
    world.cluster(cluster_text("outbound|80||a.shop.svc.cluster.local", istio_metadata(R"(fields { key: "services" value { list_value { values { struct_value {
        fields { key: "host" value { string_value: "a.shop.svc.cluster.local" } } fields { key: "name" value { string_value: "a" } }
        fields { key: "namespace" value { string_value: "shop" } } } } } } })")));
    world.endpoints("cluster_name: \"outbound|80||a.shop.svc.cluster.local\" endpoints { " +
                    endpoint_text("10.0.0.1", 80, workload("a-v1;shop;a;v1;east")) + endpoint_text("10.0.0.2", 80, workload("a-v1;shop;a;v1;east")) +
                    endpoint_text("10.0.0.3", 80, workload(";;a;latest;")) + endpoint_text("10.0.0.4", 80) + "}");
    ASSERT_EQ(world.apply(), Refusals{});
    const upstream::Cluster& cluster = *world.find_cluster("outbound|80||a.shop.svc.cluster.local");
    EXPECT_EQ(cluster.destination.service_name, "a");
    EXPECT_EQ(cluster.destination.service_namespace, "shop");
    const auto& set = *cluster.endpoints;
    ASSERT_EQ(set.destinations.size(), 3u) << "one for each workload";
    EXPECT_EQ(set.destinations[0].workload, "a-v1");
    EXPECT_EQ(set.destinations[0].app, "a");
    EXPECT_EQ(set.destinations[0].version, "v1");
    EXPECT_EQ(set.destinations[0].cluster, "east");
    EXPECT_EQ(set.destinations[0].service, "a.shop.svc.cluster.local");
    EXPECT_EQ(set.destinations[1].version, "") << "latest is no version";
    EXPECT_EQ(set.endpoints[0].destination_id, set.endpoints[1].destination_id);
    EXPECT_EQ(set.endpoints[0].destination_id, set.destinations[0].id);
    EXPECT_EQ(set.endpoints[3].destination_id, cluster.destination.id) << "nothing known of the workload: the service's own";
    EXPECT_NE(set.endpoints[0].destination_id, set.endpoints[2].destination_id);
}

TEST(Destinations, KeepTheirIdsOverEditsAndSubsets) {
    World world;
    world.cluster(cluster_text("outbound|80|v1|a.shop.svc.cluster.local"));
    world.cluster(cluster_text("outbound|81||a.shop.svc.cluster.local"));
    world.cluster(cluster_text("odd"));
    ASSERT_EQ(world.apply(), Refusals{});
    const uint32_t id = world.find_cluster("outbound|80|v1|a.shop.svc.cluster.local")->destination.id;
    EXPECT_EQ(world.find_cluster("outbound|81||a.shop.svc.cluster.local")->destination.id, id) << "one service, whatever the port";
    EXPECT_EQ(world.find_cluster("outbound|81||a.shop.svc.cluster.local")->destination.service, "a.shop.svc.cluster.local");
    EXPECT_EQ(world.find_cluster("odd")->destination.service, "odd");
    world.cluster(cluster_text("outbound|80|v1|a.shop.svc.cluster.local", "lb_policy: RANDOM "));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(world.find_cluster("outbound|80|v1|a.shop.svc.cluster.local")->destination.id, id);
}

}  // namespace
}  // namespace sluice::apply::test
