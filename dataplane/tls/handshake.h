// Handshakes of one core: OpenSSL does them, on handshake threads (or inline where none are configured), and the core gets bytes for
// the peer and, at the end, keys for the record layer. Sans-IO: bytes in by feed(), bytes and results out by poll().
// In: bytes as they arrived. Out: bytes to send, one result. Owns all handshakes; bounded in number, bytes and time. The worker end never
// blocks, locks or makes a system call; OpenSSL's objects live on the handshake thread alone and are counted (live()).
// RFC 8446, RFC 5246; hand-over as DESIGN.md describes for each role and version.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/slice.h"
#include "base/time.h"
#include "tls/context.h"
#include "tls/identity.h"
#include "tls/openssl_records.h"
#include "tls/types.h"

namespace sluice::tls {

/// Why a handshake ended without a connection; each has a counter and Envoy's word in the logs.
enum class Failure : uint8_t {
    kNone, kProtocol /* the peer's bytes make no handshake */, kPlainHttp /* an HTTP request on a TLS port */, kNoCipher, kVersion, kNoAlpn,
    kNoCertificate /* the client sent none */, kUnknownCa, kExpired, kNotYetValid, kRevoked, kWrongPurpose, kWrongName /* SAN, SPIFFE */,
    kBadCertificate, kPeerAlert /* the peer refused us: `alert` says why */, kTooMany /* no handshake left on this core */, kTooLarge,
    kTimeout, kPeerClosed, kInternal,
    kWrongPin /* neither the certificate's hash nor its key's is pinned */, kCount,
};
const char* to_string(Failure failure);

struct HandshakeResult {
    TrafficKeys keys;
    std::unique_ptr<OpensslRecords> fallback;      // set where keys.aead is kNone: the records' owner
    std::unique_ptr<const PeerIdentity> peer;      // never nullptr; presented is false without a certificate
    std::string alpn, server_name;                 // chosen; asked for
    bool resumed = false;
    uint16_t group = 0;                            // of the key exchange, IANA number; 0: none, as with a resumed session of TLS 1.2
    SessionId session;
    uint32_t certificate = 0;                      // which of the context's certificates() was shown, where there are several
    std::vector<uint8_t> leftover;                 // read beyond the handshake: first input of the record layer
};

class Handshake;   // opaque; one in progress, or a finished client that may still get tickets

/// Called from Handshaker::poll() alone, never from within another call of it.
class HandshakeOwner {
 public:
    /// Bytes for the peer; may come several times, also together with the end (an alert, the last flight).
    virtual void on_handshake_bytes(std::span<const uint8_t> bytes, Instant now) = 0;
    /// It is done. `handshake` stays valid only where take_tickets is set (a 1.3 client): until finish().
    virtual void on_handshake_done(HandshakeResult&& result, bool take_tickets, Instant now) = 0;
    /// It failed; the handshake is gone. `reason`: for people, such as "CERTIFICATE_VERIFY_FAILED: certificate has expired: subject CN=...";
    /// valid during the call. `alert`: sent or received, kCloseNotify = none.
    virtual void on_handshake_failed(Failure failure, Alert alert, std::string_view reason, Instant now) = 0;

 protected:
    ~HandshakeOwner() = default;
};

struct HandshakeLimits {
    uint32_t handshakes_max = 4096;            // of one core, at once
    uint32_t bytes_max = 128 * 1024;           // from one peer until it is done: chains are long
    uint32_t queued_max = 1024;                // jobs of one core waiting for a handshake thread
};

struct HandshakeCounters {
    uint64_t started = 0, done_full = 0, done_resumed = 0, fallbacks = 0, tickets_taken = 0;
    uint64_t failed[static_cast<size_t>(Failure::kCount)] = {};
};

class HandshakeThreads;

/// One core's end. Single core.
class Handshaker {
 public:
    /// `threads` outlives it; inline where it has none.
    Handshaker(HandshakeThreads& threads, uint32_t core, const HandshakeLimits& limits);
    ~Handshaker();
    Handshaker(const Handshaker&) = delete;

    /// nullptr: no handshake left (counted); the caller ends the connection.
    Handshake* start_server(std::shared_ptr<const ServerContext> context, HandshakeOwner& owner);
    /// `peer` is copied where needed. `remote` is part of the key of kept sessions. `texts`: of the peer's certificates, for logs. The first
    /// flight comes by poll().
    Handshake* start_client(std::shared_ptr<const ClientContext> context, const ClientPeer& peer, const SocketAddress& remote, HandshakeOwner& owner,
                            bool texts = false);
    /// Takes all of `in`, but for what exceeds the limit of bytes while a job is out: that stays in `in`, and is either data behind the
    /// handshake, the next input of the record layer after `leftover`, or too much. False: over the limit; on_handshake_failed follows.
    bool feed(Handshake& handshake, SliceQueue& in);
    /// No more bytes will come: on_handshake_failed(kPeerClosed) follows unless it is done already.
    void peer_closed(Handshake& handshake);
    /// The owner is gone: no call follows.
    void cancel(Handshake& handshake);
    /// A finished 1.3 client: one whole record (header included) that held a post-handshake message, as it came off the wire.
    void take_ticket(Handshake& handshake, std::span<const uint8_t> record);
    /// No ticket will come any more (application data came, or the connection ends).
    void finish(Handshake& handshake);
    /// Hands results to owners; runs inline work. Cheap when nothing is there.
    void poll(Instant now);
    /// Jobs are out or results wait: the core must not sleep long.
    bool busy() const;
    /// OpenSSL connection objects of this core that exist now, on any thread. Any thread.
    uint32_t live() const;
    const HandshakeCounters& counters() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The threads that serve the handshakes of all cores. Started before the workers, stopped after them.
class HandshakeThreads {
 public:
    struct Options {
        uint32_t threads = 1;                  // 0: inline on the workers
        uint32_t cores = 1;                    // Handshakers there will be
        std::vector<int> cpus;                 // to bind to, round robin; empty: any
        std::vector<int> worker_cpus = {};     // where workers poll: a thread that may run there runs at idle priority
        std::string name = "sluice-tls";
    };
    explicit HandshakeThreads(const Options& options);
    ~HandshakeThreads();
    uint32_t threads() const;
    /// A thread that may run on this CPU, where a worker polls, has work: the worker's rests are its only time. Any thread.
    bool waiting_on(int cpu) const;

 private:
    friend class Handshaker;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::tls
