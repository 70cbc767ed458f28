// Metrics as a whole: what is exported is in the catalogue and in docs/metrics.md, the formats keep their rules, labels are Istio's,
// and no mix of requests makes a scrape grow beyond its bound.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "ctrl/admin/metrics.h"
#include "ctrl/admin/views.h"
#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin {
namespace {

using telemetry::RequestKey;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr char kOpen[] = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
}

/// Lines that begin with a name and hold all of the words.
size_t count(const std::string& text, const std::string& name, const std::vector<std::string>& words = {}) {
    size_t n = 0;
    for (const auto& line : lines_of(text)) {
        bool all = line.starts_with(name + "{") || line.starts_with(name + " ");
        for (const auto& word : words) all &= line.find(word) != std::string::npos;
        n += all;
    }
    return n;
}

class Metrics : public testing::Test {
 protected:
    test::FakeGateway gateway;
    Sources sources = gateway.sources();
    telemetry::RequestSeries series;
    telemetry::CoreStats a{{}, &series}, b{{}, &series};
    snapshot::Snapshot snapshot;

    Metrics() {
        sources.cores = {&a, &b};
        sources.node_labels = {{"app", "edge"}, {"version", "v7"}, {"topology.istio.io/cluster", "east"}};
    }
    std::string scrape(std::multimap<std::string, std::string> parameters = {}, std::string accept = {}) {
        gateway.tables.set(snapshot);
        const Answer answer = metrics_answer(sources, Request{"GET", "/stats/prometheus", std::move(parameters), false, std::move(accept)});
        EXPECT_EQ(answer.status, 200);
        return answer.body;
    }
    void listener(uint32_t id, const char* address, const char* prefix) {
        auto l = std::make_shared<snapshot::Listener>();
        l->id = id;
        l->name = "0.0.0.0_80";
        l->address = {*IpAddress::parse(address), 80};
        l->chains.emplace_back().http.stat_prefix = prefix;
        snapshot.listeners.push_back(l);
    }
    /// A cluster whose endpoints are one workload with this id.
    void cluster(uint32_t id, const std::string& name, upstream::Destination workload, uint32_t endpoints = 1) {
        auto set = std::make_shared<upstream::EndpointSet>();
        for (uint32_t i = 0; i < endpoints; i++)
            set->endpoints.push_back({.id = id * 4 + i, .address = {IpAddress::v4(0x0a000000 + id * 4 + i), 80}, .destination_id = workload.id});
        set->destinations = {std::move(workload)};
        auto c = std::make_shared<upstream::Cluster>();
        c->id = id;
        c->name = name;
        c->endpoints = set;
        snapshot.clusters.resize(std::max<size_t>(snapshot.clusters.size(), id + 1));
        snapshot.clusters[id] = c;
    }
};

TEST(MetricCatalogue, NamesAreValidOnceAndExplained) {
    std::set<std::string_view> names;
    for (const auto& section : metric_catalogue()) {
        for (const auto& m : section.metrics) {
            EXPECT_TRUE(names.insert(m.name).second) << m.name << " is there twice";
            EXPECT_TRUE(std::regex_match(std::string(m.name), std::regex("[a-z][a-z0-9_]*"))) << m.name;
            EXPECT_FALSE(m.help.empty()) << m.name;
            EXPECT_FALSE(m.help.ends_with('.')) << m.name;
            EXPECT_EQ(find_metric(m.name), &m);
            if (!m.name.starts_with("sluice_")) continue;
            const bool total = m.name.ends_with("_total");
            EXPECT_EQ(total, m.kind == MetricKind::kCounter) << m.name << ": _total is of counters, and of all of them";
            const std::string_view base = total ? m.name.substr(0, m.name.size() - 6) : m.name;
            if (!m.unit.empty()) { EXPECT_NE(base.find(m.unit), base.npos) << m.name << " is of unit " << m.unit; }
        }
    }
    EXPECT_EQ(find_metric("sluice_no_such_metric"), nullptr);
}

/// OpenMetrics: a family's name may be there once, and a counter's is without _total.
TEST(MetricCatalogue, NoTwoFamiliesOfOneName) {
    std::set<std::string> families;
    for (const auto& section : metric_catalogue())
        for (const auto& m : section.metrics) {
            EXPECT_TRUE(families.emplace(openmetrics_family(m)).second) << m.name;
        }
}

TEST(MetricCatalogue, TheDocumentIsUpToDate) {
    std::ifstream in(std::string(SLUICE_SOURCE_ROOT) + "/docs/metrics.md");
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_EQ(text.str(), metrics_document()) << "write it anew: build/ctrl/admin/metrics_doc > docs/metrics.md";
}

TEST_F(Metrics, IstiosLabels) {
    cluster(1, "outbound|9080|v1|reviews.shop.svc.cluster.local",
            {.id = 5, .service = "reviews.shop.svc.cluster.local", .service_name = "reviews", .service_namespace = "shop", .workload = "reviews-v1",
             .workload_namespace = "shop", .app = "reviews", .version = "v1", .canonical_service = "reviews", .canonical_revision = "v1"});
    a.add_request({.destination = 5, .status = 200}, 700, 0, 1024);
    b.add_request({.destination = 5, .status = 200}, 30'000, 10, 1024);
    a.add_request({.destination = 5, .status = 503, .flags = telemetry::kUpstreamConnectionFailure}, 10, 0, 0);
    a.add_request({.status = 404, .flags = telemetry::kNoRoute}, 10, 0, 0);
    a.add_request({.destination = 5, .status = 200, .grpc = true, .grpc_status = 14}, 10, 0, 0);
    const std::string text = scrape();
    const std::string labels =
        "{reporter=\"source\",source_workload=\"edge-1\",source_workload_namespace=\"istio-system\",source_principal=\"unknown\",source_app=\"edge\","
        "source_version=\"v7\",source_canonical_service=\"edge\",source_canonical_revision=\"v7\",source_cluster=\"east\","
        "destination_workload=\"reviews-v1\",destination_workload_namespace=\"shop\",destination_principal=\"unknown\",destination_app=\"reviews\","
        "destination_version=\"v1\",destination_canonical_service=\"reviews\",destination_canonical_revision=\"v1\","
        "destination_service=\"reviews.shop.svc.cluster.local\",destination_service_name=\"reviews\",destination_service_namespace=\"shop\","
        "destination_cluster=\"unknown\",request_protocol=\"http\",response_code=\"200\",response_flags=\"-\",connection_security_policy=\"unknown\"";
    EXPECT_THAT(text, HasSubstr("istio_requests_total" + labels + "} 2\n"));
    EXPECT_THAT(text, HasSubstr("istio_request_duration_milliseconds_bucket" + labels + ",le=\"1\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("istio_request_duration_milliseconds_bucket" + labels + ",le=\"50\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("istio_request_duration_milliseconds_sum" + labels + "} 30.7\n"));
    EXPECT_THAT(text, HasSubstr("istio_response_bytes_sum" + labels + "} 2048\n"));
    EXPECT_THAT(text, HasSubstr("istio_response_bytes_bucket" + labels + ",le=\"+Inf\"} 2\n"));
    EXPECT_EQ(count(text, "istio_requests_total", {"response_code=\"503\",response_flags=\"UF\"", "destination_workload=\"reviews-v1\""}), 1u);
    EXPECT_EQ(count(text, "istio_requests_total", {"response_code=\"404\",response_flags=\"NR\"", "destination_service=\"unknown\""}), 1u);
    EXPECT_EQ(count(text, "istio_requests_total", {"request_protocol=\"grpc\"", "grpc_response_status=\"14\""}), 1u);
    EXPECT_EQ(count(text, "istio_requests_total"), 4u);
}

TEST_F(Metrics, ADestinationThatLeftTheTablesIsNotShown) {
    a.add_request({.destination = 9, .status = 200}, 1, 0, 0);
    EXPECT_EQ(count(scrape(), "istio_requests_total"), 0u);
    cluster(1, "x", {.id = 9, .service = "x"});
    EXPECT_EQ(count(scrape(), "istio_requests_total", {"destination_service=\"x\""}), 1u);
}

TEST_F(Metrics, ListenersOfOneManagerAreOneSeriesAndAddressesAreToldApart) {
    listener(1, "192.0.2.10", "outbound_0.0.0.0_80");
    listener(2, "2001:db8::10", "outbound_0.0.0.0_80");
    a.listener(1).requests.add(3);
    b.listener(2).requests.add(4);
    a.listener(1).connections.add(5);
    a.listener(1).connections_active.add(2);
    const std::string text = scrape();
    EXPECT_THAT(text, HasSubstr("envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"outbound_0.0.0.0_80\"} 7\n"));
    EXPECT_THAT(text, HasSubstr("envoy_listener_downstream_cx_destroy{envoy_listener_address=\"192.0.2.10_80\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("envoy_listener_downstream_cx_total{envoy_listener_address=\"[2001_db8__10]_80\"} 0\n"));
}

/// Envoy's names for both sides; reasons, versions and suites from the first one on.
TEST_F(Metrics, TlsOfClientsAndBackends) {
    listener(3, "10.0.0.1", "edge");
    cluster(2, "outbound|443||web", {});
    EXPECT_EQ(count(scrape(), "sluice_tls_handshake_failures_total"), 0u);
    a.listener(3).tls.add_handshake(tls::Version::kTls13, 0x1301, 0x001d, true, false);
    b.listener(3).tls.add_handshake(tls::Version::kTls12, 0xc02b, 0x0017, false, true);
    b.listener(3).tls.add_handshake(tls::Version::kTls12, 0xc02b, 0, true, true);
    a.listener(3).tls.add_failure(tls::Failure::kNoCertificate);
    b.cluster(2).tls.add_failure(tls::Failure::kWrongName);
    b.cluster(2).tls.add_failure(tls::Failure::kWrongPin);
    b.cluster(2).tls.add_failure(tls::Failure::kWrongPin);
    b.listener(3).no_filter_chain_match.add();
    sources.tls = [] { return TlsRuntime{.openssl_objects = 4, .records = {.key_updates_in = 5}}; };
    const std::string text = scrape();
    const std::string client = "envoy_listener_address=\"10.0.0.1_80\"", backend = "envoy_cluster_name=\"outbound|443||web\"";
    for (const std::string& line : {
             "envoy_listener_ssl_handshake{" + client + "} 3", "envoy_listener_ssl_session_reused{" + client + "} 2",
             "envoy_listener_ssl_no_certificate{" + client + "} 1", "envoy_listener_ssl_fail_verify_no_cert{" + client + "} 1",
             "envoy_listener_ssl_versions{" + client + ",envoy_ssl_version=\"TLSv1.3\"} 1",
             "envoy_listener_ssl_ciphers{" + client + ",envoy_ssl_cipher=\"ECDHE-ECDSA-AES128-GCM-SHA256\"} 2",
             "envoy_listener_ssl_curves{" + client + ",envoy_ssl_curve=\"X25519\"} 1", "envoy_listener_ssl_curves{" + client + ",envoy_ssl_curve=\"P-256\"} 1",
             "sluice_tls_handshake_failures_total{" + client + ",reason=\"no_certificate\"} 1", "envoy_listener_no_filter_chain_match{" + client + "} 1",
             "envoy_cluster_ssl_fail_verify_san{" + backend + "} 1", "envoy_cluster_ssl_fail_verify_cert_hash{" + backend + "} 2",
             "sluice_tls_upstream_handshake_failures_total{" + backend + ",reason=\"wrong_pin\"} 2", "sluice_tls_upstream_handshake_failures_total{" + backend + ",reason=\"wrong_name\"} 1",
             std::string("sluice_tls_openssl_objects 4"), std::string("sluice_tls_key_updates_received_total 5")})
        EXPECT_THAT(text, HasSubstr("\n" + line + "\n"));
}

/// Who the gateway is to a backend and who the backend is; a namespace that is proved counts before what the tables say.
TEST_F(Metrics, PrincipalsOfBothEnds) {
    cluster(1, "c1", {.id = 5, .service = "s.shop.svc.cluster.local", .service_name = "s", .service_namespace = "shop", .workload = "w", .workload_namespace = "told"});
    cluster(2, "c2", {.id = 6, .service = "t", .workload = "w"});
    const std::string own = "spiffe://cluster.local/ns/istio-system/sa/edge", backend = "spiffe://cluster.local/ns/proved/sa/w";
    const auto id = a.take_principals({own, backend}), half = b.take_principals({"", "urn:\"odd\""});
    for (const uint32_t destination : {5u, 6u}) a.add_request({.destination = destination, .status = 200, .principals = id}, 1, 1, 1);
    b.add_request({.destination = 5, .status = 200, .principals = id}, 1, 1, 1);
    b.add_request({.destination = 5, .status = 200, .principals = half}, 1, 1, 1);
    b.add_request({.destination = 5, .status = 200, .principals = telemetry::kOtherPrincipals}, 1, 1, 1);
    b.add_request({.destination = 5, .status = 200}, 1, 1, 1);
    const std::string text = scrape(), sum = "istio_requests_total";
    const std::string mutual = "source_principal=\"" + own + "\"", there = "destination_principal=\"" + backend + "\"";
    EXPECT_EQ(count(text, sum, {mutual, there, "destination_service=\"s.shop", "destination_workload_namespace=\"proved\"", "destination_service_namespace=\"shop\"", "} 2"}), 1u) << text;
    EXPECT_EQ(count(text, sum, {mutual, there, "destination_service=\"t\"", "destination_service_namespace=\"proved\"", "} 1"}), 1u);
    EXPECT_EQ(count(text, sum, {"source_principal=\"unknown\"", "destination_principal=\"urn:\\\"odd\\\"\"", "destination_workload_namespace=\"told\"", "} 1"}), 1u);
    EXPECT_EQ(count(text, sum, {"source_principal=\"other\"", "destination_principal=\"other\"", "} 1"}), 1u);
    EXPECT_EQ(count(text, sum, {"source_principal=\"unknown\"", "destination_principal=\"unknown\"", "} 1"}), 1u);
    EXPECT_EQ(count(text, sum, {"connection_security_policy=\"unknown\""}), 5u) << "as Istio has it where the reporter is the source";
    EXPECT_EQ(count(text, "sluice_principal_pairs", {" 2"}), 1u);
}

/// Prometheus refuses a scrape with a series that is there twice.
TEST_F(Metrics, NoSeriesIsThereTwice) {
    listener(1, "192.0.2.10", "p");
    listener(2, "192.0.2.11", "p");
    cluster(1, "c1", {.id = 5, .service = "s", .workload = "w"});
    cluster(2, "c2", {.id = 5, .service = "s", .workload = "w"});
    for (uint16_t status : {0, 200, 404, 503}) {
        a.add_request({.destination = 5, .status = status}, 1, 1, 1);
        b.add_request({.destination = 5, .status = status}, 1, 1, 1);
        a.cluster(1).codes.add(status);
    }
    std::set<std::string> seen;
    for (const auto& line : lines_of(scrape())) {
        if (line.starts_with('#')) continue;
        EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
    EXPECT_GT(seen.size(), 400u);
}

TEST_F(Metrics, ANameCanNeitherEndALineNorSpoilAScrape) {
    cluster(1, "evil\"} 1\nx{a=\"\\\xff\xc0\xafz", {.id = 5, .service = "ok\xe2\x82\xac\xed\xa0\x80"});
    a.add_request({.destination = 5, .status = 200}, 1, 0, 0);
    const std::string text = scrape();
    EXPECT_THAT(text, HasSubstr("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"evil\\\"} 1\\nx{a=\\\"\\\\\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("destination_service=\"ok\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
}

TEST_F(Metrics, OpenMetricsForThoseWhoAcceptIt) {
    cluster(1, "c", {.id = 5, .service = "s"});
    a.add_request({.destination = 5, .status = 200}, 700, 0, 0);
    const std::string text = scrape({}, kOpen);
    EXPECT_THAT(text, AllOf(EndsWith("\n# EOF\n"), HasSubstr("# TYPE istio_requests counter\n"), HasSubstr("\nistio_requests_total{")));
    EXPECT_THAT(text, HasSubstr("# TYPE envoy_cluster_upstream_rq_retry unknown\n"));
    EXPECT_THAT(text, HasSubstr("# UNIT istio_request_bytes bytes\n"));
    EXPECT_THAT(text, HasSubstr("le=\"1.0\"} 1\n"));
    EXPECT_THAT(text, Not(HasSubstr("le=\"1\"}")));
    for (const char* accept : {"", "*/*", "text/plain", "application/openmetrics-text;q=0", "application/openmetrics-text; q=0.0, text/plain"})
        EXPECT_THAT(scrape({}, accept), AllOf(Not(HasSubstr("# EOF")), HasSubstr("# TYPE istio_requests_total counter\n"))) << accept;
    const Answer answer = metrics_answer(sources, Request{"GET", "", {}, false, kOpen});
    EXPECT_EQ(answer.type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

TEST_F(Metrics, FilterAndUsedOnly) {
    cluster(1, "c|1", {.id = 5});
    cluster(2, "c|2", {.id = 6});
    a.cluster(1).requests.add(1);
    const std::string some = scrape({{"filter", "upstream_rq_total\\{.*c\\|2"}});
    EXPECT_EQ(lines_of(some), (std::vector<std::string>{"# HELP envoy_cluster_upstream_rq_total Requests sent", "# TYPE envoy_cluster_upstream_rq_total counter",
                                                        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"c|2\"} 0"}));
    const std::string used = scrape({{"usedonly", ""}, {"filter", "envoy_cluster_upstream_rq_total"}});
    EXPECT_EQ(count(used, "envoy_cluster_upstream_rq_total"), 1u);
    const Answer bad = metrics_answer(sources, Request{"GET", "", {{"filter", "("}}, false, {}});
    EXPECT_EQ(bad.status, 400);
    EXPECT_THAT(bad.body, HasSubstr("regular expression"));
}

TEST_F(Metrics, RequestsOfTheManagementEndpointAreCounted) {
    const Handler handler(sources);
    handler.handle({"GET", "/ready", {}, false, {}});
    handler.handle({"GET", "/nowhere", {}, true, {}});
    const std::string text = scrape();
    EXPECT_THAT(text, HasSubstr("sluice_admin_requests_total{endpoint=\"http\",code_class=\"2\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("sluice_admin_requests_total{endpoint=\"socket\",code_class=\"4\"} 1\n"));
}

/// Whatever clients and backends make of codes, flags, protocols and destinations: the label sets are bounded, and told.
TEST_F(Metrics, AHostileMixDoesNotGrowTheScrape) {
    for (uint32_t id = 0; id < 200; id++) cluster(id, "c" + std::to_string(id), {.id = id, .service = "s" + std::to_string(id)});
    uint64_t requests = 0;
    for (uint32_t id = 0; id < 200; id++)
        for (uint16_t status = 0; status < 1000; status++, requests++)
            a.add_request({.destination = id, .status = static_cast<uint16_t>(status % 1000), .flags = static_cast<uint16_t>(status * id), .grpc = id % 2 == 0,
                           .grpc_status = static_cast<uint8_t>(status % 17)}, status, status, status);
    const std::string text = scrape();
    EXPECT_LE(count(text, "istio_requests_total"), telemetry::kSeriesMax + 1);
    EXPECT_GT(count(text, "istio_requests_total"), telemetry::kSeriesMax / 2);
    EXPECT_LE(count(text, "istio_requests_total", {"destination_service=\"s7\""}), telemetry::kSeriesOfDestination + 1);
    EXPECT_EQ(count(text, "istio_request_bytes_bucket"), count(text, "istio_requests_total") * telemetry::kBuckets);
    uint64_t counted = 0, other = 0;
    for (const auto& line : lines_of(text)) {
        if (!line.starts_with("istio_requests_total{")) continue;
        const uint64_t n = std::stoull(line.substr(line.rfind(' ')));
        counted += n;
        if (line.find("response_code=\"other\"") != std::string::npos) other += n;
    }
    EXPECT_EQ(counted, requests) << "no request is lost";
    EXPECT_THAT(text, HasSubstr("sluice_requests_of_other_label_sets_total " + std::to_string(other) + "\n"));
    EXPECT_GT(other, 0u);
}

TEST_F(Metrics, AThousandClustersStayWithinTheBound) {
    constexpr uint32_t kClusters = 1000;
    const size_t bare = lines_of(scrape()).size();
    for (uint32_t id = 0; id < kClusters; id++) {
        cluster(id, "outbound|9080||service-" + std::to_string(id) + ".shop.svc.cluster.local", {.id = id, .service = "service-" + std::to_string(id)}, 3);
        for (auto* core : {&a, &b}) {
            core->add_request({.destination = id, .status = 200}, 700, 0, 1024);
            core->cluster(id).request_us.record_us(700);
            core->cluster(id).codes.add(200);
            core->cluster(id).connect_us.record_us(300);
        }
    }
    const auto start = std::chrono::steady_clock::now();
    const std::string text = scrape();
    const auto took = std::chrono::steady_clock::now() - start;
    const size_t lines = lines_of(text).size();
    std::printf("%zu lines, %zu bytes in %.1f ms\n", lines, text.size(), std::chrono::duration<double, std::milli>(took).count());
    uint32_t each = 67;   // one label set of Istio's
    for (const auto& section : metric_catalogue())
        for (const auto& m : section.metrics)
            if (m.bound.per == SeriesBound::Per::kCluster) each += m.bound.times * (m.kind == MetricKind::kHistogram ? telemetry::kBuckets + 2 : 1);
    EXPECT_LE(lines, bare + kClusters * each + 200);
    EXPECT_EQ(count(text, "envoy_cluster_membership_total"), kClusters);
    EXPECT_EQ(count(text, "istio_requests_total"), kClusters);
}

}  // namespace
}  // namespace sluice::admin
