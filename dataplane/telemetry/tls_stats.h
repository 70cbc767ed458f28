// What handshakes and their ends count, for a listener's clients and for a cluster's connections: Envoy's ssl.* statistics, and every
// reason for a failure one by one. Written by one core, read by any thread; bounded: suites that nobody should meet share one counter.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "telemetry/stat_array.h"
#include "tls/handshake.h"

namespace sluice::telemetry {

/// Suites counted one by one; the last place is for all others (IANA numbers).
inline constexpr std::array<uint16_t, 9> kCountedSuites = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8};
/// Groups of key exchanges counted one by one; the last place is for all others (IANA numbers).
inline constexpr std::array<uint16_t, 3> kCountedGroups = {0x001d, 0x0017, 0x0018};
inline constexpr auto kTlsFailures = static_cast<size_t>(tls::Failure::kCount);

struct TlsStats {
    Counter handshakes, session_reused;              // done; of these resumed
    Counter no_certificate;                          // done without a certificate of the peer
    Counter connection_errors;                       // failed for other reasons than certificates, also after the handshake
    Counter fail_verify_no_cert, fail_verify_error, fail_verify_san, fail_verify_cert_hash;
    Counter truncated;                               // the peer ended a connection without close_notify where bytes were missing or might be
    Counter fallbacks;                               // connections whose records OpenSSL keeps
    std::array<Counter, 2> versions;                 // TLS 1.2, TLS 1.3
    std::array<Counter, kCountedSuites.size() + 1> suites;
    std::array<Counter, kCountedGroups.size() + 1> groups;
    std::array<Counter, kTlsFailures> failed;        // handshakes, by tls::Failure

    /// `group`: 0 where no keys were exchanged.
    void add_handshake(tls::Version version, uint16_t suite, uint16_t group, bool resumed, bool certificate) {
        handshakes.add();
        if (resumed) session_reused.add();
        if (!certificate) no_certificate.add();
        versions[version == tls::Version::kTls13].add();
        suites[place_in(kCountedSuites, suite)].add();
        if (group != 0) groups[place_in(kCountedGroups, group)].add();
    }
    void add_failure(tls::Failure failure) {
        using tls::Failure;
        failed[static_cast<size_t>(failure)].add();
        switch (failure) {
            case Failure::kNoCertificate: fail_verify_no_cert.add(); break;
            case Failure::kUnknownCa:
            case Failure::kExpired:
            case Failure::kNotYetValid:
            case Failure::kRevoked:
            case Failure::kWrongPurpose:
            case Failure::kBadCertificate: fail_verify_error.add(); break;
            case Failure::kWrongName: fail_verify_san.add(); break;
            case Failure::kWrongPin: fail_verify_cert_hash.add(); break;
            default: connection_errors.add();
        }
    }

 private:
    template <size_t kCount>
    static size_t place_in(const std::array<uint16_t, kCount>& all, uint16_t one) {
        return static_cast<size_t>(std::find(all.begin(), all.end(), one) - all.begin());
    }
};

}  // namespace sluice::telemetry
