// Secrets are read, and shown nowhere.
// In: YAML, good and broken. Out: values, findings; no finding and no redacted text holds a byte of a value.
// A marker stands for every value.
// Kubernetes Secret core/v1.
#include "ctrl/model/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/model/object_reader.h"
#include "ctrl/model/redact.h"

namespace sluice::model {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Read {
    MeshConfig mesh;
    std::vector<Diagnostic> findings;
};

Read read(const std::string& yaml) {
    Read out;
    read_objects(yaml::parse("mesh/secret.yaml", yaml, out.findings), out.mesh, out.findings);
    return out;
}

TEST(Secret, IsDecoded) {
    const Read got = read(R"(
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: istio-system, labels: {x: y}}
type: kubernetes.io/tls
data:
  tls.crt: |
    Y2Vy
    dA==
  tls.key: bm8=
stringData: {tls.key: key}
immutable: true
)");
    ASSERT_EQ(got.findings.size(), 0u) << render(got.findings, 1);
    ASSERT_EQ(got.mesh.secrets.size(), 1u);
    const Credential credential = credential_of(got.mesh.secrets[0]);
    EXPECT_EQ(credential.certificate, "cert");
    EXPECT_EQ(credential.private_key, "key") << "stringData comes after data";
    EXPECT_EQ(got.mesh.secrets[0].id(), "Secret istio-system/a");
}

TEST(Secret, OfTypeOpaqueHasIstiosKeys) {
    const Read got = read("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {cert: c, key: k, cacert: r, crl: l}\n");
    ASSERT_EQ(got.mesh.secrets.size(), 1u);
    const Credential credential = credential_of(got.mesh.secrets[0]);
    EXPECT_EQ(credential.certificate + credential.private_key + credential.roots + credential.crl, "ckrl");
}

TEST(Secret, InAListIsRead) {
    EXPECT_EQ(read("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {cert: c}}\n").mesh.secrets.size(), 1u);
}

constexpr char kMarker[] = "TWFya2VyT2ZBU2VjcmV0";

class Broken : public testing::TestWithParam<const char*> {};

TEST_P(Broken, IsAFindingWithoutAByteOfIt) {
    const Read got = read(GetParam());
    ASSERT_FALSE(got.findings.empty());
    EXPECT_TRUE(has_errors(got.findings));
    const std::string shown = render(got.findings, 1) + render_json(got.findings);
    EXPECT_THAT(shown, Not(HasSubstr(kMarker))) << shown;
    EXPECT_THAT(redact(GetParam()), Not(HasSubstr(kMarker)));
}

INSTANTIATE_TEST_SUITE_P(Secret, Broken, testing::Values(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  tls.key: TWFya2VyT2ZBU2VjcmV0=x\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/tls\ndata:\n  tls.key: TWFya2VyT2ZBU2VjcmV0\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {tls.key: [TWFya2VyT2ZBU2VjcmV0]}\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: TWFya2VyT2ZBU2VjcmV0\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndate: {tls.key: TWFya2VyT2ZBU2VjcmV0}\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  tls.key: TWFya2VyT2ZBU2VjcmV0\n  tls.key: TWFya2VyT2ZBU2VjcmV0\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  tls.key: \"TWFya2VyT2ZBU2VjcmV0\\q\"\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  tls.key: |\n   TWFya2VyT2ZBU2VjcmV0\n - TWFya2VyT2ZBU2VjcmV0\n",
    "apiVersion: v1\nkind: Secrets\nmetadata: {name: a}\ndata:\n\ttls.key: TWFya2VyT2ZBU2VjcmV0\n",
    "kind: Secret\nmetadata: {name: a}\ndata: {k: TWFya2VyT2ZBU2VjcmV0}\n",
    "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"A_\"}, \"data\": {\"k\": \"TWFya2VyT2ZBU2VjcmV0\"}}\n"));

TEST(Redact, HidesValuesAndKeepsNames) {
    const std::string text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\ntype: kubernetes.io/tls\ndata:\n  tls.crt: abc\n  tls.key: >\n    def\n---\nkind: Gateway\nspec: {a: b}\n";
    const std::string shown = redact(text);
    EXPECT_THAT(shown, testing::MatchesRegex("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\ntype: kubernetes.io/tls\ndata:\n"
                                             "  tls.crt: \\[redacted ....\\]\n  tls.key: \\[redacted ....\\]\n    \\[redacted ....\\]\n---\nkind: Gateway\nspec: \\{a: b\\}\n"));
    EXPECT_EQ(shown, redact(text)) << "equal values are equal in a diff";
    std::string other = text;
    other.replace(other.find("abc"), 3, "xyz");
    EXPECT_NE(shown, redact(other)) << "and others are not";
}

TEST(Redact, LeavesFilesWithoutSecretsAsTheyAre) {
    const std::string text = "kind: VirtualService\nmetadata: {name: secret-garden}\nspec: {hosts: [a]}\n";
    EXPECT_EQ(redact(text), text);
}

}  // namespace
}  // namespace sluice::model
