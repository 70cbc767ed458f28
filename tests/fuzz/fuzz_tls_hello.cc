// libFuzzer target: the look at a client hello. Input: a byte that seeds the cuts, then a connection's first bytes. Checked: whole and cut
// read alike, a prefix says what the whole says or asks for more, texts end within their arrays.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/tls/record_harness.h"
#include "tls/hello.h"

namespace {

using namespace sluice;
using namespace sluice::tls;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

bool same(const Hello& a, const Hello& b) {
    return std::memcmp(a.server_name, b.server_name, sizeof a.server_name) == 0 && a.alpn_count == b.alpn_count &&
           std::memcmp(a.alpn, b.alpn, sizeof a.alpn) == 0 && a.offers_tls13 == b.offers_tls13 && a.offers_tls12 == b.offers_tls12;
}

void check_texts(const Hello& hello) {
    if (!std::memchr(hello.server_name, 0, sizeof hello.server_name) || hello.alpn_count > kAlpnProtocolsMax) fail("text without end");
    for (uint32_t i = 0; i < hello.alpn_count; i++) {
        if (!std::memchr(hello.alpn[i], 0, sizeof hello.alpn[i]) || !hello.alpn[i][0]) fail("protocol without end, or empty");
    }
    for (const char c : hello.server_name_view()) {
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.') fail("no host name");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    sluice::test::test_eal();
    static SliceNodePool nodes(100'000);
    const std::span<const uint8_t> wire(data + 1, size - 1);
    Rng rng(data[0]);
    SliceQueue whole(nodes), cut(nodes), part(nodes);
    tls::test::push(whole, wire);
    tls::test::push_cut(cut, wire, rng);
    Hello a, b, c;
    const HelloStatus status = inspect_hello(whole, a);
    if (inspect_hello(cut, b) != status || !same(a, b)) fail("cut and whole differ");
    if (status == HelloStatus::kHello) check_texts(a);
    tls::test::push(part, wire.first(rng.below(wire.size() + 1)));
    const HelloStatus early = inspect_hello(part, c);
    if (early != HelloStatus::kNeedMore && early != status) fail("a prefix says something else");
    return 0;
}
