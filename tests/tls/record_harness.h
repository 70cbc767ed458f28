// What the tests and fuzzers of the record layer share: an engine with its pools, keys from a seed, queues from bytes in any cut (each slice
// an exact-size heap buffer, so that address sanitizer sees its edges), and a second implementation of record protection, by OpenSSL's EVP.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/support/eal.h"
#include "tls/records.h"

namespace sluice::tls::test {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t kAlertType = 21, kHandshakeType = 22, kDataType = 23;

struct Suite {
    Version version;
    Aead aead;
    Digest digest;
    uint16_t number;
    const char* name;              // OpenSSL's
};
std::span<const Suite> suites();   // all that the record layer does

struct Memory {
    explicit Memory(uint32_t expanded_max = 8) : nodes(200'000), engine(sluice::test::test_mempool(), nodes, expanded_max) {}
    SliceNodePool nodes;
    RecordEngine engine;
};

Bytes random_bytes(Rng& rng, size_t size);
/// Keys of one end; `mirror` are the other end's.
TrafficKeys random_keys(const Suite& suite, Role role, Rng& rng);
TrafficKeys mirror(const TrafficKeys& keys);

/// As exact-size heap buffers of the given sizes, the last size again and again.
void push(SliceQueue& queue, std::span<const uint8_t> bytes, std::span<const size_t> sizes);
/// Cut at random, from single bytes to thousands.
void push_cut(SliceQueue& queue, std::span<const uint8_t> bytes, Rng& rng);
inline void push(SliceQueue& queue, std::span<const uint8_t> bytes) {
    const size_t size = 32768;
    push(queue, bytes, {&size, 1});
}
Bytes bytes_of(const SliceQueue& queue);
inline Bytes taken(SliceQueue& queue) {
    Bytes bytes = bytes_of(queue);
    queue.clear();
    return bytes;
}

/// Seals and opens single records with OpenSSL's EVP, with whatever content a peer might send.
class ReferenceRecords {
 public:
    /// Uses keys.transmit to seal and keys.receive to open.
    ReferenceRecords(const TrafficKeys& keys) : keys_(keys) {}
    /// 1.3: content, type, `padding` zeros. 1.2: content. Next sequence number.
    Bytes seal(uint8_t type, std::span<const uint8_t> content, size_t padding = 0);
    /// 1.3: this as the whole inner plaintext.
    Bytes seal_inner(std::span<const uint8_t> inner, uint8_t outer_type = kDataType, uint16_t version = 0x0303);
    struct Record {
        uint8_t type = 0;          // 0: bad
        Bytes content;
    };
    /// Takes one record off the front of `wire`.
    Record open(Bytes& wire);
    /// RFC 8446 7.2
    static void update(DirectionKeys& keys, const TrafficKeys& of);
    TrafficKeys& keys() { return keys_; }

 private:
    TrafficKeys keys_;
};

/// RFC 8446 7.1, by OpenSSL.
Bytes hkdf_expand_label(Digest digest, std::span<const uint8_t> secret, std::string_view label, size_t bytes);

}  // namespace sluice::tls::test
