// The look at a client hello: OpenSSL's own hellos in any cut and over records, hand-made ones with one thing wrong, bytes of other
// protocols. Slices are exact-size heap buffers.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

#include "tests/tls/record_harness.h"
#include "tls/hello.h"

namespace sluice::tls::test {
namespace {

Bytes text(std::string_view t) { return Bytes(t.begin(), t.end()); }
Bytes join(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}
Bytes u16(size_t n) { return {static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)}; }
Bytes vector8(const Bytes& b) { return join({{static_cast<uint8_t>(b.size())}, b}); }
Bytes vector16(const Bytes& b) { return join({u16(b.size()), b}); }
Bytes extension(uint16_t type, const Bytes& body) { return join({u16(type), vector16(body)}); }
Bytes server_name(std::string_view name) { return extension(0, vector16(join({{0}, vector16(text(name))}))); }
Bytes alpn(std::initializer_list<std::string_view> names) {
    Bytes list;
    for (const auto name : names) list = join({list, vector8(text(name))});
    return extension(16, vector16(list));
}
Bytes versions(std::initializer_list<uint16_t> list) {
    Bytes body;
    for (const uint16_t v : list) body = join({body, u16(v)});
    return extension(43, vector8(body));
}

struct Parts {
    Bytes version = {3, 3}, random = Bytes(32, 7), session_id = vector8({}), suites = vector16({0x13, 0x01}), compression = vector8({0});
    Bytes extensions = vector16({});
    Bytes body() const { return join({version, random, session_id, suites, compression, extensions}); }
};
Bytes message(const Bytes& body, uint8_t type = 1) {
    return join({{type, static_cast<uint8_t>(body.size() >> 16), static_cast<uint8_t>(body.size() >> 8), static_cast<uint8_t>(body.size())}, body});
}
Bytes record(const Bytes& content, uint8_t type = 22) { return join({{type, 3, 1}, vector16(content)}); }
Bytes records(const Bytes& content, size_t each) {
    Bytes all;
    for (size_t at = 0; at < content.size(); at += each)
        all = join({all, record(Bytes(content.begin() + static_cast<ptrdiff_t>(at), content.begin() + static_cast<ptrdiff_t>(std::min(at + each, content.size()))))});
    return all;
}

class HelloTest : public ::testing::Test {
 protected:
    HelloStatus inspect(const Bytes& wire) {
        sluice::test::test_eal();
        SliceQueue queue(nodes);
        push(queue, wire);
        const uint64_t before = queue.bytes();
        hello = {};
        const HelloStatus status = inspect_hello(queue, hello);
        EXPECT_EQ(queue.bytes(), before);
        return status;
    }
    HelloStatus inspect_with(const Bytes& extensions) { return inspect(record(message(Parts{.extensions = vector16(extensions)}.body()))); }
    SliceNodePool nodes{100'000};
    Hello hello;
};

/// What OpenSSL's client says first.
Bytes openssl_hello(const char* name, int version_min, int version_max) {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), version_min);
    SSL_CTX_set_max_proto_version(context.get(), version_max);
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (name) SSL_set_tlsext_host_name(ssl.get(), name);
    const uint8_t protocols[] = "\x02h2\x08http/1.1";
    SSL_set_alpn_protos(ssl.get(), protocols, sizeof protocols - 1);
    SSL_connect(ssl.get());
    Bytes wire(BIO_ctrl_pending(SSL_get_wbio(ssl.get())));
    BIO_read(SSL_get_wbio(ssl.get()), wire.data(), static_cast<int>(wire.size()));
    return wire;
}

TEST_F(HelloTest, OpensslsHello) {
    ASSERT_EQ(inspect(openssl_hello("Shop.Example.COM", TLS1_2_VERSION, TLS1_3_VERSION)), HelloStatus::kHello);
    EXPECT_EQ(hello.server_name_view(), "shop.example.com");
    ASSERT_EQ(hello.alpn_count, 2u);
    EXPECT_STREQ(hello.alpn[0], "h2");
    EXPECT_STREQ(hello.alpn[1], "http/1.1");
    EXPECT_TRUE(hello.offers_tls13);
    EXPECT_TRUE(hello.offers_tls12);
    ASSERT_EQ(inspect(openssl_hello(nullptr, TLS1_3_VERSION, TLS1_3_VERSION)), HelloStatus::kHello);
    EXPECT_EQ(hello.server_name_view(), "");
    EXPECT_TRUE(hello.offers_tls13);
    EXPECT_FALSE(hello.offers_tls12);
    ASSERT_EQ(inspect(openssl_hello("a.b", TLS1_2_VERSION, TLS1_2_VERSION)), HelloStatus::kHello);
    EXPECT_FALSE(hello.offers_tls13);
    EXPECT_TRUE(hello.offers_tls12);
}

TEST_F(HelloTest, EveryPrefixNeedsMoreAndEveryCutReadsAlike) {
    const Bytes wire = openssl_hello("shop.example", TLS1_2_VERSION, TLS1_3_VERSION);
    for (size_t n = 0; n < wire.size(); n++) ASSERT_EQ(inspect(Bytes(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(n))), HelloStatus::kNeedMore) << n;
    Rng rng(5);
    for (size_t cut = 1; cut < wire.size(); cut++) {
        SliceQueue queue(nodes);
        const size_t sizes[] = {cut, cut < 20 ? 1 : wire.size()};
        push(queue, wire, sizes);
        Hello found;
        ASSERT_EQ(inspect_hello(queue, found), HelloStatus::kHello) << cut;
        ASSERT_EQ(found.server_name_view(), "shop.example");
    }
}

TEST_F(HelloTest, OverSeveralRecords) {
    const Bytes wire = openssl_hello("shop.example", TLS1_2_VERSION, TLS1_3_VERSION);
    const Bytes content(wire.begin() + 5, wire.end());
    for (const size_t each : {size_t{10}, size_t{64}, size_t{100}, content.size() - 1}) {
        const Bytes cut = records(content, each);
        ASSERT_EQ(inspect(cut), HelloStatus::kHello) << each;
        EXPECT_EQ(hello.server_name_view(), "shop.example");
        for (size_t n = 1; n < cut.size(); n += 3) ASSERT_EQ(inspect(Bytes(cut.begin(), cut.begin() + static_cast<ptrdiff_t>(n))), HelloStatus::kNeedMore);
    }
    EXPECT_EQ(inspect(records(content, 1)), HelloStatus::kBad);   // more than 64
    EXPECT_EQ(inspect(join({record(Bytes(content.begin(), content.begin() + 50)), record(Bytes(10, 0), 21)})), HelloStatus::kBad);
    EXPECT_EQ(inspect(join({record(Bytes(content.begin(), content.begin() + 50)), record({})})), HelloStatus::kBad);
}

TEST_F(HelloTest, BytesBehindTheHello) {
    const Bytes hello_message = message(Parts{}.body());
    EXPECT_EQ(inspect(join({record(hello_message), record(Bytes(100, 9), 23)})), HelloStatus::kHello);   // early data: another record
    EXPECT_EQ(inspect(record(join({hello_message, {1}}))), HelloStatus::kBad);
}

TEST_F(HelloTest, OtherProtocols) {
    for (const char* other : {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\x80\x2e\x01\x03\x01", "\x05\x01", "P"})
        EXPECT_EQ(inspect(text(other)), HelloStatus::kNotTls) << other;
    EXPECT_EQ(inspect({22, 2}), HelloStatus::kNotTls);
    EXPECT_EQ(inspect({22, 3, 9}), HelloStatus::kNotTls);
    EXPECT_EQ(inspect({23, 3, 3, 0, 1, 0}), HelloStatus::kNotTls);
    EXPECT_EQ(inspect({}), HelloStatus::kNeedMore);
    EXPECT_EQ(inspect({22}), HelloStatus::kNeedMore);
}

TEST_F(HelloTest, LengthsBeyondTheLimitAreRefusedByTheFirstBytes) {
    EXPECT_EQ(inspect({22, 3, 1, 0x40, 0x01}), HelloStatus::kBad);              // a record of 2^14 + 1
    EXPECT_EQ(inspect({22, 3, 1, 0, 0}), HelloStatus::kBad);
    EXPECT_EQ(inspect({22, 3, 1, 0x40, 0, 1, 1, 0, 0}), HelloStatus::kBad);     // a message of 65,536
    EXPECT_EQ(inspect({22, 3, 1, 0x40, 0, 1, 0, 0x40, 0}), HelloStatus::kBad);
    EXPECT_EQ(inspect({22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc}), HelloStatus::kNeedMore);
    EXPECT_EQ(inspect({22, 3, 1, 0, 100, 2}), HelloStatus::kBad);               // a ServerHello
    Parts large;
    large.extensions = vector16(extension(21, Bytes(kHelloBytesMax - 4 - 2 - 32 - 1 - 4 - 2 - 2 - 4, 0)));   // padding up to the limit
    EXPECT_EQ(large.body().size(), kHelloBytesMax - 4);
    EXPECT_EQ(inspect(record(message(large.body()))), HelloStatus::kHello);
}

TEST_F(HelloTest, FieldsThatAreWrong) {
    EXPECT_EQ(inspect(record(message(Parts{}.body()))), HelloStatus::kHello);
    EXPECT_EQ(inspect(record(message(Parts{.version = {2, 0}}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.session_id = vector8(Bytes(32, 1))}.body()))), HelloStatus::kHello);
    EXPECT_EQ(inspect(record(message(Parts{.session_id = vector8(Bytes(33, 1))}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.suites = vector16({})}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.suites = vector16({1, 2, 3})}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.compression = vector8({})}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.compression = vector8({1})}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.extensions = {0}}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.extensions = {0, 5, 0}}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.extensions = {0, 0, 0}}.body()))), HelloStatus::kBad);
    EXPECT_EQ(inspect(record(message(Parts{.extensions = {}}.body()))), HelloStatus::kHello);   // none at all
    EXPECT_TRUE(hello.offers_tls12);
    EXPECT_EQ(inspect(record(message(Parts{.version = {3, 2}, .extensions = {}}.body()))), HelloStatus::kHello);
    EXPECT_FALSE(hello.offers_tls12);
    EXPECT_EQ(inspect(record(message(Bytes(10, 3)))), HelloStatus::kBad);
    const Bytes body = Parts{.extensions = vector16(join({server_name("a.b"), alpn({"h2"}), versions({0x0304})}))}.body();
    for (size_t n = 1; n < body.size(); n++) {   // no field is read beyond the message; what ends behind compression is whole
        const HelloStatus status = inspect(record(message(Bytes(body.begin(), body.begin() + static_cast<ptrdiff_t>(n)))));
        EXPECT_EQ(status, n == 2 + 32 + 1 + 4 + 2 ? HelloStatus::kHello : HelloStatus::kBad) << n;
    }
}

TEST_F(HelloTest, ServerNames) {
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
    const std::pair<std::string, std::string> names[] = {
        {"Shop.Example", "shop.example"}, {"shop.example.", "shop.example"}, {"_a-1.b", "_a-1.b"}, {"localhost", "localhost"},
        {longest, longest}, {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {longest + "c", ""}, {label + "a.b", ""}, {"a..b", ""}, {".a", ""}, {".", ""}, {"a..", ""}, {"10.0.0.1", ""}, {"a.1", ""}, {"[::1]", ""},
        {"a b", ""}, {"a/b", ""}, {"a:443", ""}, {"b\xc3\xbc", ""}, {"*.example", ""},
    };
    for (const auto& [given, wanted] : names) {
        EXPECT_EQ(inspect_with(server_name(given)), HelloStatus::kHello) << given;
        EXPECT_EQ(hello.server_name_view(), wanted) << given;
    }
    EXPECT_EQ(inspect_with(server_name("")), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(server_name(std::string(256, 'a'))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(server_name(std::string("a.b\0.evil", 9))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(0, {})), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(0, vector16({}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(0, join({vector16(join({{0}, vector16(text("a.b"))})), {0}}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(0, vector16(join({{0}, vector16(text("a.b")), {0}, vector16(text("c.d"))})))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(join({server_name("a.b"), server_name("a.b")})), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(0, vector16(join({{9}, vector16(text("other")), {0}, vector16(text("a.b"))})))), HelloStatus::kHello);
    EXPECT_EQ(hello.server_name_view(), "a.b");
}

TEST_F(HelloTest, Protocols) {
    EXPECT_EQ(inspect_with(alpn({"istio-http/1.1", "istio", "http/1.1"})), HelloStatus::kHello);
    ASSERT_EQ(hello.alpn_count, 3u);
    EXPECT_STREQ(hello.alpn[0], "istio-http/1.1");
    EXPECT_EQ(inspect_with(alpn({std::string(31, 'x'), std::string(32, 'y'), std::string_view("a\0b", 3), "h2"})), HelloStatus::kHello);
    ASSERT_EQ(hello.alpn_count, 2u);
    EXPECT_EQ(std::string_view(hello.alpn[0]), std::string(31, 'x'));
    EXPECT_STREQ(hello.alpn[1], "h2");
    Bytes many;
    for (int i = 0; i < 40; i++) many = join({many, vector8(text("p" + std::to_string(i)))});
    EXPECT_EQ(inspect_with(extension(16, vector16(many))), HelloStatus::kHello);
    EXPECT_EQ(hello.alpn_count, kAlpnProtocolsMax);
    EXPECT_EQ(inspect_with(alpn({""})), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(16, vector16({}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(16, vector16({5, 'h', '2'}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(join({alpn({"h2"}), alpn({"h2"})})), HelloStatus::kBad);
}

TEST_F(HelloTest, Versions) {
    EXPECT_EQ(inspect_with(versions({0x7a7a, 0x0304, 0x0303})), HelloStatus::kHello);
    EXPECT_TRUE(hello.offers_tls13 && hello.offers_tls12);
    EXPECT_EQ(inspect_with(versions({0x0304})), HelloStatus::kHello);
    EXPECT_TRUE(hello.offers_tls13 && !hello.offers_tls12);
    EXPECT_EQ(inspect_with(versions({0x0301})), HelloStatus::kHello);
    EXPECT_TRUE(!hello.offers_tls13 && !hello.offers_tls12);
    EXPECT_EQ(inspect_with(extension(43, vector8({3}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(extension(43, vector8({}))), HelloStatus::kBad);
    EXPECT_EQ(inspect_with(join({versions({0x0304}), versions({0x0303})})), HelloStatus::kBad);
}

}  // namespace
}  // namespace sluice::tls::test
