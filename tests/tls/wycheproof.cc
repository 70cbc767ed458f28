// Project Wycheproof's AEAD vectors through the record layer's own calls of ipsec-mb: whole, and piece by piece in cuts that differ from
// vector to vector; sealed and opened; with the code for this CPU, for AVX2 and for SSE. In: a folder with the two files that
// scripts/fetch-wycheproof brings. Out: a line for each wrong case, then "wycheproof: N passed, M failed". Vectors of other key, nonce or
// tag sizes are not TLS's: counted.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tls/record_harness.h"
#include "tls/record_protect.h"

namespace {

using namespace sluice;
using namespace sluice::tls;
using tls::test::Bytes;

Bytes from_hex(const std::string& hex) {
    Bytes bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

struct Vector {
    Aead aead;
    Bytes key, nonce, additional, text, cipher, tag;
    bool valid;
    AeadInput input() const { return {nonce.data(), additional.data(), static_cast<uint32_t>(additional.size())}; }
};

/// One way, whole (cut = 0) or in pieces of `cut`, in place in a heap buffer of exactly this size.
template <bool kSeal>
std::pair<Bytes, Bytes> run(RecordEngine::Impl& engine, const Vector& v, const Bytes& from, size_t cut) {
    Records::Direction direction{};
    std::copy(v.key.begin(), v.key.end(), direction.key);
    direction.slot = UINT32_MAX;
    Bytes to = from, tag(kTagBytes);
    if (cut == 0) {
        protect_whole<kSeal>(engine, v.aead, direction, v.input(), to.data(), to.data(), static_cast<uint32_t>(to.size()), tag.data());
    } else {
        AeadPass<kSeal> pass(engine, v.aead, direction, v.input());
        for (size_t at = 0; at < to.size(); at += cut) pass.update(&to[at], &to[at], std::min(cut, to.size() - at));
        pass.finish(tag.data());
    }
    engine.give_back(direction);
    return {to, tag};
}

bool passes(RecordEngine::Impl& engine, const Vector& v, size_t cut) {
    const auto [opened, tag] = run<false>(engine, v, v.cipher, cut);
    if (same_tag(tag.data(), v.tag.data()) != v.valid) return false;
    if (!v.valid) return true;
    const auto [sealed, sealed_tag] = run<true>(engine, v, v.text, cut);
    return opened == v.text && sealed == v.cipher && sealed_tag == v.tag;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: tls_wycheproof FOLDER\n");
        return 2;
    }
    SliceNodePool nodes(16);
    using Engine = RecordEngine::Impl;
    rte_mempool* const mbufs = sluice::test::test_mempool();
    Engine engines[] = {Engine(mbufs, nodes, 2, kKeyRecordsMax), Engine(mbufs, nodes, 2, kKeyRecordsMax, IMB_ARCH_AVX2),
                        Engine(mbufs, nodes, 2, kKeyRecordsMax, IMB_ARCH_SSE)};
    int passed = 0, failed = 0, other = 0;
    for (const bool chacha : {false, true}) {
        const std::string path = std::string(argv[1]) + (chacha ? "/chacha20_poly1305_test.json" : "/aes_gcm_test.json");
        std::ifstream file(path);
        const auto all = nlohmann::json::parse(file, nullptr, false);
        if (all.is_discarded()) {
            std::fprintf(stderr, "%s cannot be read: run scripts/fetch-wycheproof\n", path.c_str());
            return 2;
        }
        for (const auto& group : all["testGroups"]) {
            const int key_bits = group["keySize"];
            const bool ours = group["ivSize"] == 96 && group["tagSize"] == 128 && (key_bits == 256 || (key_bits == 128 && !chacha));
            for (const auto& c : group["tests"]) {
                if (!ours) {
                    other++;
                    continue;
                }
                const Vector v{chacha ? Aead::kChaCha20Poly1305 : key_bits == 128 ? Aead::kAes128Gcm : Aead::kAes256Gcm,
                               from_hex(c["key"]), from_hex(c["iv"]), from_hex(c["aad"]), from_hex(c["msg"]), from_hex(c["ct"]), from_hex(c["tag"]),
                               c["result"] == "valid"};
                const int id = c["tcId"];
                for (const size_t cut : {size_t{0}, size_t{1}, size_t{16}, static_cast<size_t>(2 + id % 61)}) {
                    for (Engine& engine : engines) {
                        if (passes(engine, v, cut)) passed++;
                        else failed++, std::printf("FAILED %s %d in pieces of %zu: %s\n", path.c_str(), id, cut, std::string(c["comment"]).c_str());
                    }
                }
            }
        }
    }
    std::printf("of other sizes: %d\nwycheproof: %d passed, %d failed\n", other, passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
