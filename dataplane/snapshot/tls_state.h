// The secrets and the listeners' TLS contexts of a snapshot, beside the tables that use them: what operators are shown of each secret, and what the
// next build takes over unchanged. Made by ctrl/apply, immutable once published, shared by the snapshots between which nothing changed.
// A secret that is refused leaves the one before it in force: both stand here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tls/context.h"

namespace sluice::snapshot {

struct SecretState {
    enum class Type : uint8_t { kCertificate, kTrust, kTicketKeys, kOther } type = Type::kOther;
    std::string name;              // kubernetes://shop-cert, file-root:/etc/certs/ca.crt, default
    std::string source, object;    // mesh/certs.yaml:3, Secret istio-system/shop-cert; may be empty
    uint64_t hash = 0;             // of the content in force; 0: nothing of it was ever good
    uint64_t newest_hash = 0;      // of the content last offered
    std::string refused, cure;     // why the newest is not in force; empty: it is
    int64_t since_s = 0;           // in force since; 0: not
    uint64_t rotations = 0;        // how often its content was replaced
    std::vector<tls::CertificateInfo> certificates;   // in force; the leaf first
    std::shared_ptr<const void> content;              // of ctrl/apply alone
    /// When the first of them ends; 0: holds none.
    int64_t not_after_s() const {
        int64_t first = 0;
        for (const auto& one : certificates)
            if (first == 0 || one.not_after_s < first) first = one.not_after_s;
        return first;
    }
};

struct TlsState {
    std::map<std::string, std::shared_ptr<const SecretState>> secrets;
    std::map<uint64_t, std::shared_ptr<const tls::ServerContext>> servers;   // by hash of parameters and secrets
    uint64_t rotations_total = 0, refusals_total = 0;
};

}  // namespace sluice::snapshot
