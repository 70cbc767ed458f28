// What each view says of the fake gateway: sums over cores, filters, Envoy's shapes, Prometheus text.
#include "ctrl/admin/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class Views : public testing::Test {
 protected:
    test::FakeGateway gateway;
    Sources sources = gateway.sources();
    json get(std::string (*view)(const Sources&, const Request&), std::multimap<std::string, std::string> parameters = {}) {
        return json::parse(view(sources, Request{"GET", "", std::move(parameters), false}));
    }
};

TEST_F(Views, Status) {
    const json s = get(status_json);
    EXPECT_EQ(s["node"], "edge-1");
    EXPECT_EQ(s["state"], "serving");
    EXPECT_EQ(s["config"]["in_force"]["revision"], 7);
    EXPECT_EQ(s["config"]["in_force"]["time_to_live_ms"], 11.0);
    EXPECT_TRUE(s["config"]["refused"].is_null());
    EXPECT_EQ(s["ports"][0]["rx_dropped"], 7);
    EXPECT_EQ(s["listeners"][0]["place"], "outside:80");
    EXPECT_EQ(s["listeners"][0]["routes"], 2);
    EXPECT_EQ(s["backends"]["total"], 2);   // two addresses, though three clusters name them
    EXPECT_EQ(s["backends"]["up"], 1);
    EXPECT_EQ(s["backends"]["down"][0]["host"], "reviews.shop");
    EXPECT_EQ(s["backends"]["down"][0]["address"], "10.0.1.2:9080");
    EXPECT_EQ(s["backends"]["down"][0]["reason"], "refused");
    EXPECT_NEAR(s["backends"]["down"][0]["down_s"].get<double>(), 12, 5);
    EXPECT_EQ(s["retiring"]["parts"], 2);
    gateway.draining = true;
    EXPECT_EQ(get(status_json)["state"], "draining");
}

TEST_F(Views, ARefusedRevisionComesWithItsDiagnostics) {
    Diagnostic d;
    d.file = "mesh/reviews.yaml";
    d.line = 14;
    d.code = "SLC0104";
    d.message = "unknown field \"wieght\"";
    gateway.state.refused = control::Refused{.revision = 8, .content_hash = "x", .diagnostics = {d}, .files = 6, .since = {}};
    const json c = get(config_json);
    EXPECT_EQ(c["refused"]["revision"], 8);
    EXPECT_EQ(c["refused"]["diagnostics"][0]["line"], 14);
    EXPECT_EQ(c["refused"]["diagnostics"][0]["message"], "unknown field \"wieght\"");
    EXPECT_EQ(c["in_force"]["revision"], 7);
}

TEST_F(Views, RoutesWithHitsOverAllCoresAndTheirSource) {
    const json r = get(routes_json);
    ASSERT_EQ(r.size(), 3u);
    EXPECT_EQ(r[0]["match"], "prefix /reviews");
    EXPECT_EQ(r[0]["to"], "reviews v1 90% v2 10%");
    EXPECT_EQ(r[0]["hits"], 38'412);
    EXPECT_EQ(r[0]["source"], "mesh/reviews.yaml:9");
    EXPECT_EQ(r[0]["order"], 1);
    EXPECT_EQ(r[1]["to"], "redirect 301 https://new.example");
    EXPECT_EQ(r[2]["match"], "(none)");
    EXPECT_EQ(r[2]["hits"], 3);
}

TEST_F(Views, RouteFilters) {
    EXPECT_EQ(get(routes_json, {{"host", "shop.example"}}).size(), 3u);
    EXPECT_EQ(get(routes_json, {{"host", "other.example"}}).size(), 1u);   // the wildcard host has no routes
    EXPECT_EQ(get(routes_json, {{"port", "80"}}).size(), 3u);
    EXPECT_EQ(get(routes_json, {{"port", "81"}}).size(), 0u);
}

TEST_F(Views, Listeners) {
    const json l = get(listeners_json);
    ASSERT_EQ(l.size(), 1u);
    EXPECT_EQ(l[0]["requests"], 38'415);
    EXPECT_EQ(l[0]["responses"]["2xx"], 1);
    EXPECT_EQ(l[0]["object"], "Gateway shop/edge");
    EXPECT_GE(l[0]["duration_us"]["p99"], 40'000);
    EXPECT_LE(l[0]["duration_us"]["p99"], 42'500);
    EXPECT_EQ(get(listeners_json, {{"port", "443"}}).size(), 0u);
}

TEST_F(Views, ClustersAndTheirFilters) {
    const json c = get(clusters_json);
    ASSERT_EQ(c.size(), 3u);
    EXPECT_EQ(c[0]["connections_open"], 2);
    EXPECT_EQ(c[0]["subset"], "v1");
    EXPECT_EQ(get(clusters_json, {{"host", "reviews.shop"}}).size(), 3u);
    EXPECT_EQ(get(clusters_json, {{"host", "reviews"}, {"port", "9080"}}).size(), 3u);
    EXPECT_EQ(get(clusters_json, {{"port", "1"}}).size(), 0u);
    EXPECT_EQ(get(clusters_json, {{"host", "ratings"}}).size(), 0u);
}

TEST_F(Views, Endpoints) {
    const json e = get(endpoints_json);
    ASSERT_EQ(e.size(), 4u);
    EXPECT_EQ(e[0]["state"], "up");
    EXPECT_EQ(e[1]["state"], "down");
    EXPECT_EQ(e[1]["last_failure"], "refused");
    EXPECT_EQ(e[1]["connect_failures"], 2);
}

TEST_F(Views, Runtime) {
    const json r = get(runtime_json);
    EXPECT_EQ(r["workers"][0]["core"], 2);
    EXPECT_EQ(r["workers"][0]["stages"][1]["stage"], "tcp");
    EXPECT_EQ(r["workers"][0]["stages"][1]["cycles"], 3000);
}

TEST_F(Views, StatsFilter) {
    const json all = get(stats_json)["stats"], some = get(stats_json, {{"filter", "sluice_tcp_retransmits"}})["stats"];
    EXPECT_GT(all.size(), 100u);
    ASSERT_EQ(some.size(), 1u);
    EXPECT_EQ(some["sluice_tcp_retransmits_total"], 3);
    EXPECT_EQ(all["sluice_response_flags_total{flag=\"NR\"}"], 1);
    EXPECT_EQ(all["envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"0.0.0.0_80\"}"], 38'415);
    EXPECT_EQ(all["sluice_bytes_copied_total{reason=\"copy_break\"}"], 50);
    EXPECT_EQ(all["sluice_bytes_copied_total{reason=\"linearized\"}"], 700);
    EXPECT_EQ(all["sluice_bytes_attached_total"], 6000);
    EXPECT_EQ(all["sluice_worker_stage_cycles_total{core=\"2\",stage=\"tcp\"}"], 3000);
}

TEST_F(Views, PrometheusText) {
    const std::string text = metrics_answer(sources, Request{}).body;
    EXPECT_THAT(text, HasSubstr("# TYPE envoy_cluster_upstream_rq_total counter\n"));
    EXPECT_THAT(text, HasSubstr("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"outbound|9080|v1|reviews.shop.svc.cluster.local\"} 20"));
    EXPECT_THAT(text, HasSubstr("envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"0.0.0.0_80\",le=\"0.5\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"0.0.0.0_80\",le=\"+Inf\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("envoy_http_downstream_rq_time_sum{envoy_http_conn_manager_prefix=\"0.0.0.0_80\"} 40.4\n"));
    EXPECT_THAT(text, HasSubstr("sluice_http_protocol_errors_total{envoy_http_conn_manager_prefix=\"0.0.0.0_80\",reason="));
    EXPECT_THAT(text, HasSubstr("sluice_port_rx_dropped_total{port=\"outside\"} 7"));
    EXPECT_THAT(text, HasSubstr("sluice_config_revision 7\n"));
}

TEST_F(Views, ConfigDumpIsEnvoys) {
    const json dump = json::parse(config_dump(sources));
    const json& configs = dump["configs"];
    ASSERT_EQ(configs.size(), 5u);
    EXPECT_EQ(configs[0]["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump");
    EXPECT_EQ(configs[0]["dynamic_active_clusters"][0]["cluster"]["@type"], "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    EXPECT_EQ(configs[0]["dynamic_active_clusters"][0]["cluster"]["name"], "a<b>");
    EXPECT_EQ(configs[1]["dynamic_listeners"][0]["name"], "0.0.0.0_80");
    EXPECT_EQ(configs[1]["dynamic_listeners"][0]["active_state"]["listener"]["address"]["socket_address"]["port_value"], 80);
    EXPECT_EQ(configs[1]["dynamic_listeners"][0]["active_state"]["version_info"], "9f2c61ab");
    EXPECT_EQ(configs[2]["dynamic_route_configs"][0]["route_config"]["name"], "http.80");
    EXPECT_EQ(configs[3]["dynamic_endpoint_configs"][0]["endpoint_config"]["cluster_name"], "x");
    EXPECT_EQ(configs[4]["@type"], "type.googleapis.com/envoy.admin.v3.SecretsConfigDump");
}

TEST_F(Views, ClustersTextIsEnvoys) {
    const std::string text = clusters_text(sources);
    const std::string v1 = "outbound|9080|v1|reviews.shop.svc.cluster.local";
    EXPECT_THAT(text, HasSubstr(v1 + "::added_via_api::true\n"));
    EXPECT_THAT(text, HasSubstr(v1 + "::10.0.1.1:9080::rq_total::20\n"));
    EXPECT_THAT(text, HasSubstr(v1 + "::10.0.1.1:9080::region::eu\n"));
    EXPECT_THAT(text, HasSubstr(v1 + "::10.0.1.1:9080::zone::a\n"));
    EXPECT_THAT(text, HasSubstr(v1 + "::10.0.1.1:9080::sub_zone::b\n"));
    EXPECT_THAT(text, HasSubstr("::10.0.1.2:9080::zone::\n"));
}

}  // namespace
}  // namespace sluice::admin
