// What operators see of secrets: names and times, never what is in them.
// In: a gateway with secrets in its tables and resources. Out: /v1/secrets, /config_dump, metrics, files of a revision.
// A marker stands for every key.
// Envoy admin.v3.SecretsConfigDump: private keys read [redacted].
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctrl/admin/views.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace tls_pb = envoy::extensions::transport_sockets::tls::v3;

constexpr char kMarker[] = "KeyThatMustNotBeSeen";

int64_t now_s() { return static_cast<int64_t>(std::time(nullptr)); }

void add_secrets(FakeGateway& gateway) {
    auto good = std::make_shared<snapshot::SecretState>();
    good->name = "kubernetes://shop-cert", good->type = snapshot::SecretState::Type::kCertificate, good->source = "mesh/certs.yaml:3";
    good->hash = good->newest_hash = 1, good->since_s = now_s();
    good->certificates.push_back({.name = good->name, .subject = "CN=shop", .issuer = "CN=ca", .serial = "0a", .sha256 = "00", .sans = {"DNS:shop.example"},
                                  .not_before_s = now_s() - 100, .not_after_s = now_s() + 10 * 86400 + 60, .key_type = "EC P-256"});
    auto bad = std::make_shared<snapshot::SecretState>(*good);
    bad->name = "kubernetes://old", bad->refused = "expired", bad->newest_hash = 2;
    auto tls = std::make_shared<snapshot::TlsState>();
    tls->secrets = {{good->name, good}, {bad->name, bad}};
    tls->rotations_total = 4;
    snapshot::Snapshot snapshot;
    snapshot.tls = tls;
    gateway.tables.set(snapshot);
}

TEST(Secrets, AreShownByNameTimeAndState) {
    FakeGateway gateway;
    add_secrets(gateway);
    const auto shown = nlohmann::json::parse(secrets_json(gateway.sources(), {}));
    ASSERT_EQ(shown.size(), 2u);
    EXPECT_EQ(shown[0]["state"], "old in force");
    EXPECT_EQ(shown[0]["refused"], "expired");
    EXPECT_EQ(shown[1]["state"], "in force");
    EXPECT_EQ(shown[1]["type"], "certificate");
    EXPECT_EQ(shown[1]["days_left"], 10.0);
    EXPECT_EQ(shown[1]["certificates"][0]["sans"][0], "DNS:shop.example");
    Request request;
    request.parameters = {{"source", "mesh/other.yaml"}};
    EXPECT_EQ(nlohmann::json::parse(secrets_json(gateway.sources(), request)).size(), 0u);
    const auto status = nlohmann::json::parse(status_json(gateway.sources(), {}));
    EXPECT_EQ(status["tls"]["secrets_refused"][0]["name"], "kubernetes://old");
}

TEST(Secrets, AreMeasured) {
    FakeGateway gateway;
    add_secrets(gateway);
    const std::string text = metrics_answer(gateway.sources(), {}).body;
    EXPECT_THAT(text, HasSubstr("envoy_server_days_until_first_cert_expiring 10\n"));
    EXPECT_THAT(text, HasSubstr("sluice_certificate_expiration_timestamp_seconds{secret=\"kubernetes://shop-cert\"} "));
    EXPECT_THAT(text, HasSubstr("sluice_secrets_refused 1\n"));
    EXPECT_THAT(text, HasSubstr("sluice_secret_rotations_total 4\n"));
}

TEST(Secrets, AreHiddenInTheDump) {
    FakeGateway gateway;
    auto resources = std::make_shared<xds::ResourceSet>();
    tls_pb::Secret secret;
    secret.set_name("cert");
    secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string("the chain");
    secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string(kMarker);
    resources->secrets["cert"] = secret;
    tls_pb::Secret tickets;
    tickets.set_name("tickets");
    tickets.mutable_session_ticket_keys()->add_keys()->set_inline_bytes(kMarker);
    resources->secrets["tickets"] = tickets;
    // A control plane may put a key into a listener itself.
    tls_pb::DownstreamTlsContext context;
    *context.mutable_common_tls_context()->add_tls_certificates() = secret.tls_certificate();
    envoy::config::listener::v3::Listener listener;
    listener.set_name("l");
    listener.add_filter_chains()->mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
    resources->listeners["l"] = listener;
    gateway.state.in_force.resources = resources;
    const std::string dump = config_dump(gateway.sources());
    EXPECT_THAT(dump, Not(HasSubstr(kMarker)));
    EXPECT_THAT(dump, Not(HasSubstr("S2V5VGhhdE11c3ROb3RCZVNlZW4"))) << "nor in base64";
    EXPECT_THAT(dump, HasSubstr("\"private_key\":{\"inline_string\":\"[redacted]\"}"));
    EXPECT_THAT(dump, HasSubstr("the chain"));
    EXPECT_THAT(dump, HasSubstr("SecretsConfigDump"));
}

TEST(Secrets, AreHiddenInTheFilesOfARevision) {
    FakeGateway gateway;
    gateway.directory = source::make_file_set({{"s.yaml", std::string("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  tls.key: ") + kMarker + "\n"}});
    Request request;
    request.parameters = {{"revision", "directory"}};
    const std::string body = revision_answer(gateway.sources(), request).body;
    EXPECT_THAT(body, Not(HasSubstr(kMarker)));
    EXPECT_THAT(body, HasSubstr("tls.key: [redacted "));
}

}  // namespace
}  // namespace sluice::admin::test
