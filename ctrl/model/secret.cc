// Reading Secrets by hand: the general reader quotes what it finds, which must not happen here.
// In: YAML nodes. Out: Secret objects, findings that name fields and never values.
// Owns nothing.
// base64 as the API server takes it: RFC 4648 with padding, line breaks ignored.
#include "ctrl/model/secret.h"

#include <algorithm>
#include <array>

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

using yaml::Node;

constexpr size_t kSecretBytesMax = 1 << 20;   // of the API server
constexpr std::string_view kTlsType = "kubernetes.io/tls";

bool is_scalar(const Node* node) { return node && node->kind == Node::Kind::kScalar; }

class SecretReader {
 public:
    SecretReader(const std::shared_ptr<const yaml::File>& file, const Node& root, std::vector<Diagnostic>& out) : out_(out) {
        secret_.kind = "Secret", secret_.file = file, secret_.root = &root;
        secret_.type = "Opaque";
        secret_.ns = "default";
    }
    bool read(Secret& into) {
        for (const yaml::Entry& entry : secret_.root->entries) field(entry);
        if (secret_.name.empty()) fail("metadata.name", "SLC0106", "missing", "give the Secret a name");
        check_keys();
        if (good_) into = std::move(secret_);
        return good_;
    }

 private:
    void fail(std::string_view path, std::string code, std::string message, std::string cure) {
        good_ = false;
        Diagnostic d = secret_.finding(std::move(code), path, std::move(message), std::move(cure), /*at_value=*/false);
        if (secret_.name.empty()) d.object = "Secret";
        if (out_.size() < room_for(d.severity)) out_.push_back(std::move(d));
    }
    void field(const yaml::Entry& entry) {
        const std::string& key = entry.key;
        if (key == "apiVersion" || key == "kind" || key == "immutable" || key == "status") return;
        if (key == "metadata") return metadata(entry.value);
        if (key == "type") {
            if (is_scalar(&entry.value)) secret_.type = entry.value.text;
            else fail("type", "SLC0103", "expected text", "type: kubernetes.io/tls");
            return;
        }
        if (key == "data" || key == "stringData") return values(entry.value, key, key == "data");
        static const std::vector<std::string> kKnown = {"metadata", "type", "data", "stringData", "immutable"};
        fail(yaml::path_key(key).substr(1), "SLC0104", "unknown field", did_you_mean(key, kKnown));
    }
    void metadata(const Node& node) {
        const Node *name = node.find("name"), *ns = node.find("namespace");
        if (is_scalar(name)) secret_.name = name->text;
        if (is_scalar(ns)) secret_.ns = ns->text;
        if (!secret_.name.empty() && (!is_dns_name(secret_.name) || lower(secret_.name) != secret_.name))
            fail("metadata.name", "SLC0107", "not a name", "use a-z, 0-9, `-` and `.`");
        if (!is_dns_label(secret_.ns)) fail("metadata.namespace", "SLC0107", "not a namespace", "use a-z, 0-9 and `-`");
    }
    void values(const Node& node, const std::string& field, bool base64) {
        if (node.kind == Node::Kind::kNull) return;
        if (node.kind != Node::Kind::kMap) return fail(field, "SLC0103", "expected a map of keys and values", field + ": {tls.crt: ..., tls.key: ...}");
        for (const yaml::Entry& entry : node.entries) {
            const std::string path = field + yaml::path_key(entry.key);
            if (entry.value.kind != Node::Kind::kScalar && entry.value.kind != Node::Kind::kNull) fail(path, "SLC0103", "expected text", "a Secret's values are texts");
            else value(entry, path, base64);
        }
    }
    void value(const yaml::Entry& entry, const std::string& path, bool base64) {
        std::string text = entry.value.text, bytes;
        if (base64) {
            std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
            if (!absl::Base64Unescape(text, &bytes))
                return fail(path, "SLC0138", "not base64", "encode it (base64 -w0 FILE), or move it as it is to `stringData`");
        } else {
            bytes = std::move(text);
        }
        total_ += bytes.size();
        if (total_ > kSecretBytesMax) return fail(path, "SLC0138", "the Secret is larger than 1 MiB", "split it");
        // The API server: stringData overwrites.
        if (base64) secret_.data.emplace(entry.key, std::move(bytes));
        else secret_.data[entry.key] = std::move(bytes);
    }
    /// What a type promises. Opaque ones are looked at where they are used.
    void check_keys() {
        if (secret_.type != kTlsType) return;
        for (const char* key : {"tls.crt", "tls.key"})
            if (!secret_.data.contains(key) && good_)
                fail("type", "SLC0138", fmt::format("of type {} but without {}", kTlsType, key), fmt::format("add {} to `data`; the API server refuses it too", key));
    }

    Secret secret_;
    std::vector<Diagnostic>& out_;
    size_t total_ = 0;
    bool good_ = true;
};

std::string first_of(const Secret& secret, std::initializer_list<const char*> keys) {
    for (const char* key : keys)
        if (const auto found = secret.data.find(key); found != secret.data.end() && !found->second.empty()) return found->second;
    return {};
}

}  // namespace

void read_secret(const std::shared_ptr<const yaml::File>& file, const Node& root, std::vector<Secret>& secrets, std::vector<Diagnostic>& out) {
    Secret secret;
    if (SecretReader(file, root, out).read(secret)) secrets.push_back(std::move(secret));
}

Credential credential_of(const Secret& secret) {
    // Istio: generic keys first, then those of kubernetes.io/tls.
    return {.certificate = first_of(secret, {"cert", "tls.crt"}), .private_key = first_of(secret, {"key", "tls.key"}),
            .roots = first_of(secret, {"cacert", "ca.crt"}), .crl = first_of(secret, {"crl", "ca.crl"}),
            .ocsp_staple = first_of(secret, {"tls.ocsp-staple"})};
}

std::string keys_of(const Secret& secret) {
    std::string out;
    for (const auto& [key, value] : secret.data) out += (out.empty() ? "" : ", ") + key;
    return out.empty() ? "nothing" : out;
}

}  // namespace sluice::model
