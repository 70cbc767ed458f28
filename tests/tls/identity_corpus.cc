// Writes a corpus of strange client certificates and what our server makes of each, for a comparison with Envoy (threat 15).
// In: a folder, and per certificate a whole TLS 1.3 handshake in memory against each of three servers. Out: NNN.pem (leaf, chain, key),
// a.pem and b.pem (roots), server.pem, and corpus.json. tests/system/test_tls_identities.py shows them to Envoy.
//   build/tests/tls/identity_corpus DIR
#include <openssl/ssl.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/tls/ends.h"
#include "tests/tls/identities.h"

namespace sluice::tls::test {
namespace {

using nlohmann::json;
using sluice::test::Identity;
using sluice::test::identities;
using sluice::test::trust_domains_of_identities;

/// One certificate: what is strange about it, and its chain.
struct Case {
    std::string kind, name;
    Issued issued;
};

class Corpus {
 public:
    std::vector<Case> make();

 private:
    void add(const std::string& kind, const std::string& name, Issued issued) { cases_.push_back({kind, name, std::move(issued)}); }
    void variants(const Identity& identity);
    void chains();
    void leaves();
    static CertificateSpec named(std::vector<std::string> names) {
        CertificateSpec spec;
        spec.names = std::move(names);
        return spec;
    }
    std::vector<Case> cases_;
};

constexpr char kGood[] = "URI:spiffe://cluster.local/ns/shop/sa/web", kOfB[] = "URI:spiffe://b.example/ns/shop/sa/web";

/// What else a certificate with a good identity may be.
void Corpus::variants(const Identity& identity) {
    const std::string uri = "URI:" + identity.uri;
    const auto with = [&](const std::string& kind, std::vector<std::string> names) { add(kind, identity.uri, authority().issue(named(std::move(names)))); };
    with("a DNS name beside it", {uri, "DNS:web.shop"});
    with("the same URI twice", {uri, uri});
    with("another URI behind it", {uri, "URI:https://a.example/"});
    with("another URI before it", {"URI:https://a.example/", uri});
    with("a second SPIFFE ID", {uri, "URI:spiffe://b.example/x"});
    with("a NUL in a DNS name", {uri, std::string("DNS:a\0b", 7)});
    CertificateSpec spec = named({uri});
    spec.ca = true;
    add("of a CA", identity.uri, authority().issue(spec));
    spec.ca = false, spec.sign_certificates = true;
    add("may sign certificates", identity.uri, authority().issue(spec));
    spec.sign_certificates = false, spec.key_usage = false;
    add("no key usage", identity.uri, authority().issue(spec));
    spec.key_usage = true, spec.client_auth = false;
    add("for servers alone", identity.uri, authority().issue(spec));
    spec.server_auth = false;
    add("no extended key usage", identity.uri, authority().issue(spec));
}

void Corpus::chains() {
    add("by the root of another domain", "b's root for cluster.local", stranger().issue(named({kGood})));
    add("of another domain by its root", "b", stranger().issue(named({kOfB})));
    add("of another domain by our root", "b by a's root", authority().issue(named({kOfB})));
    add("of an unknown domain", "unknown.example", authority().issue(named({"URI:spiffe://unknown.example/x"})));
    add("signed by itself", "self-signed", sluice::test::self_signed(named({kGood})));
    Issued forged = stranger().issue(named({kGood}));
    forged.chain_pem += authority().pem();
    add("by the root of another domain", "with our root sent along", forged);
    CertificateSpec middle;
    middle.common_name = "between";
    const auto through = [&](const std::string& kind, const std::string& name) { add(kind, name, CertificateAuthority(authority(), middle).issue(named({name.starts_with("b") ? kOfB : kGood}))); };
    through("through an intermediate", "good");
    middle.permitted = {"URI:cluster.local"};
    through("through an intermediate", "constrained to cluster.local");
    through("against a name constraint", "b constrained to cluster.local");
    middle.permitted = {"URI:other.local"};
    through("against a name constraint", "permitted other.local alone");
    middle.permitted.clear(), middle.excluded = {"URI:cluster.local"};
    through("against a name constraint", "cluster.local excluded");
    middle.excluded.clear(), middle.not_after_s = -60;
    through("through an expired intermediate", "expired");
    middle.not_after_s = 24 * 3600, middle.path_length = 0;
    const CertificateAuthority limited(authority(), middle);
    middle.path_length = -1, middle.key_number = 1;
    add("beyond a path length", "pathlen 0", CertificateAuthority(limited, middle).issue(named({kGood})));
    Issued without = limited.issue(named({kGood}));
    without.chain_pem = without.certificate_pem;
    add("without its intermediate", "not sent", without);
}

void Corpus::leaves() {
    CertificateSpec spec = named({kGood});
    spec.not_after_s = -60;
    add("expired", "expired", authority().issue(spec));
    spec.not_after_s = 24 * 3600, spec.not_before_s = 3600;
    add("not yet valid", "not yet valid", authority().issue(spec));
    spec.not_before_s = -3600, spec.key = KeyKind::kRsa1024;
    add("a weak key", "RSA 1024", authority().issue(spec));
    for (const KeyKind key : {KeyKind::kRsa2048, KeyKind::kEcP384}) {
        spec.key = key;
        add("a SPIFFE ID", "another key", authority().issue(spec));
    }
    spec = {};
    spec.common_name = "spiffe://cluster.local/ns/shop/sa/web";
    add("an identity as common name alone", "common name", authority().issue(spec));
    spec.names = {"DNS:cluster.local", "DNS:spiffe.cluster.local"};
    add("an identity as common name alone", "and DNS names", authority().issue(spec));
    add("no URI", "DNS names alone", authority().issue(named({"DNS:web.shop"})));
    add("no URI", "an address alone", authority().issue(named({"IP:192.0.2.1"})));
    add("no URI", "an e-mail address alone", authority().issue(named({"email:spiffe@cluster.local"})));
}

std::vector<Case> Corpus::make() {
    for (const Identity& identity : identities()) {
        add(identity.kind, identity.uri, authority().issue(named({"URI:" + identity.uri})));
        if (identity.as_client) variants(identity);
    }
    chains();
    leaves();
    return std::move(cases_);
}

/// The three servers that Envoy gets as well.
std::map<std::string, std::shared_ptr<const ServerContext>> servers() {
    const auto made = [](auto&& change) {
        ServerOptions options = server_options();
        options.client_certificate = ServerOptions::ClientCertificate::kRequired;
        change(options.verification);
        return make(std::move(options));
    };
    return {{"root", made([](Verification& v) { v.trusted_ca_pem = authority().pem(); })},
            {"mesh", made([](Verification& v) {
                 v.trusted_ca_pem = authority().pem(), v.require_spiffe = true;
                 v.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kPrefix, "spiffe://cluster.local/"}};
             })},
            {"domains", made([](Verification& v) {
                 for (const std::string& domain : trust_domains_of_identities()) v.trust_domains.push_back({domain, authority().pem()});
                 v.trust_domains.push_back({"b.example", stranger().pem()});
             })}};
}

json judge(const std::shared_ptr<const ServerContext>& context, const Issued& client) {
    Core core;
    TheirEnd theirs(false, [&](SSL_CTX* ctx) {
        SSL_CTX_set_security_level(ctx, 0);   // shows what it has
        use_certificate(ctx, client);
    });
    OurEnd ours(core);
    ours.serve(context);
    pump(core, ours, theirs);
    const bool accepted = ours.result && ours.result->peer->verified;
    return {{"accepted", accepted}, {"reason", accepted ? "" : ours.failure ? to_string(*ours.failure) : "not finished"}, {"words", ours.reason}};
}

int run(const std::string& folder) {
    const auto contexts = servers();
    json all = json::array();
    const auto write = [&](const std::string& name, const std::string& text) { std::ofstream(folder + "/" + name) << text; };
    write("a.pem", authority().pem());
    write("b.pem", stranger().pem());
    const Issued server = authority().issue({.common_name = "server", .names = {"DNS:server.example"}});
    write("server.pem", server.chain_pem + server.private_key_pem);
    for (const Case& one : Corpus().make()) {
        const std::string file = std::to_string(all.size()) + ".pem";
        write(file, one.issued.chain_pem + one.issued.private_key_pem);
        json entry = {{"file", file}, {"kind", one.kind}, {"name", one.name}};
        for (const auto& [name, context] : contexts) entry["verdicts"][name] = judge(context, one.issued);
        all.push_back(std::move(entry));
    }
    write("corpus.json", json{{"domains", trust_domains_of_identities()}, {"cases", all}}.dump(1, ' ', false, json::error_handler_t::replace));
    std::cout << all.size() << " certificates in " << folder << "\n";
    return 0;
}

}  // namespace
}  // namespace sluice::tls::test

int main(int argc, char** argv) {
    if (argc == 2) return sluice::tls::test::run(argv[1]);
    std::cerr << "identity_corpus DIR\n";
    return 2;
}
