// What the writer makes, the reader reads back; framing fields come from arguments alone; nothing is half written.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "http/chars.h"
#include "tests/http/h1_driver.h"
#include "tests/support/eal.h"

namespace sluice::http::h1::test {
namespace {

class WriterTest : public testing::Test {
 protected:
    Memory memory;
    rte_mempool* pool = sluice::test::test_mempool();
    Arena arena{memory.chunks};
    Request request{arena};
    Response response{arena};
    SliceQueue out{memory.nodes};

    void SetUp() override {
        request.method = Method::kGet;
        request.method_text = "GET";
        request.authority = "a:80";
        request.path = "/x?y";
        response.status = 200;
    }
    std::string written(Framing framing, uint64_t length, bool close = false) {
        out.clear();
        EXPECT_TRUE(write_request(request, framing, length, close, pool, out));
        return text_of(out);
    }
    std::string answered(Framing framing, uint64_t length, bool close = false, Version version = Version::kHttp11) {
        out.clear();
        EXPECT_TRUE(write_response(response, framing, length, close, version, pool, out));
        return text_of(out);
    }
};

TEST_F(WriterTest, Requests) {
    EXPECT_EQ(written(Framing::kNone, 0), "GET /x?y HTTP/1.1\r\nhost: a:80\r\n\r\n");
    EXPECT_EQ(written(Framing::kLength, 12, true), "GET /x?y HTTP/1.1\r\nhost: a:80\r\ncontent-length: 12\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(written(Framing::kChunked, 0), "GET /x?y HTTP/1.1\r\nhost: a:80\r\ntransfer-encoding: chunked\r\n\r\n");
    request.method = Method::kPost;
    request.method_text = {};
    EXPECT_EQ(written(Framing::kNone, 0), "POST /x?y HTTP/1.1\r\nhost: a:80\r\ncontent-length: 0\r\n\r\n");
    request.method = Method::kConnect;
    request.path = {};
    EXPECT_EQ(written(Framing::kNone, 0), "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n");
    request.method = Method::kOptions;
    request.path = "*";
    EXPECT_EQ(written(Framing::kNone, 0), "OPTIONS * HTTP/1.1\r\nhost: a:80\r\n\r\n");
    EXPECT_FALSE(write_request(request, Framing::kUntilClose, 0, false, pool, out));
}

// Every byte at every place of a block of 16, and every length of name and value: what is copied by words is what was given.
TEST_F(WriterTest, EveryByteAndEveryLength) {
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 1; at < 40; at++) {
            std::string path(40, 'p'), wanted;
            path[0] = '/';
            path[at] = static_cast<char>(c);
            for (const char byte : path) {
                char escaped[4];
                std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned char>(byte));
                wanted += is_char(byte, kTargetChar) ? std::string(1, byte) : std::string(escaped);
            }
            request.path = path;
            ASSERT_EQ(written(Framing::kNone, 0), "GET " + wanted + " HTTP/1.1\r\nhost: a:80\r\n\r\n") << c << " at " << at;
        }
    }
    for (size_t size = 0; size < 200; size++) {
        // Exact heap buffers: reading beside them is a finding of the address sanitizer.
        const std::vector<char> name(1 + size % 70, 'n'), value(size, 'v');
        Arena own(memory.chunks);
        Request one(own);
        one.method = Method::kGet;
        one.authority = "a:80";
        ASSERT_TRUE(one.headers.add({name.data(), name.size()}, {value.data(), value.size()}));
        out.clear();
        ASSERT_TRUE(write_request(one, Framing::kNone, 0, false, pool, out));
        ASSERT_EQ(text_of(out), "GET / HTTP/1.1\r\nhost: a:80\r\n" + std::string(name.begin(), name.end()) + ": " + std::string(size, 'v') + "\r\n\r\n");
    }
}

TEST_F(WriterTest, FramingAndHopByHopNeverComeFromTheList) {
    for (auto [name, value] : {std::pair{"Host", "evil"}, {"Content-Length", "99"}, {"transfer-encoding", "chunked"}, {"Connection", "keep-alive"},
                               {"Keep-Alive", "5"}, {"Proxy-Connection", "x"}, {"Upgrade", "h2c"}, {"TE", "gzip"}, {"X-Kept", "v"}}) {
        ASSERT_TRUE(request.headers.add(name, value));
        ASSERT_TRUE(response.headers.add(name, value));
    }
    EXPECT_EQ(written(Framing::kLength, 3), "GET /x?y HTTP/1.1\r\nhost: a:80\r\nX-Kept: v\r\ncontent-length: 3\r\n\r\n");
    EXPECT_EQ(answered(Framing::kChunked, 0), "HTTP/1.1 200 OK\r\nX-Kept: v\r\ntransfer-encoding: chunked\r\n\r\n");
    request.upgrade = true;
    ASSERT_TRUE(request.headers.set("te", "trailers"));
    EXPECT_EQ(written(Framing::kNone, 0),
              "GET /x?y HTTP/1.1\r\nhost: a:80\r\nX-Kept: v\r\nupgrade: h2c\r\nte: trailers\r\nconnection: upgrade, te\r\n\r\n");
    response.status = 101;
    EXPECT_EQ(answered(Framing::kNone, 0), "HTTP/1.1 101 Switching Protocols\r\nX-Kept: v\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n");
}

TEST_F(WriterTest, Responses) {
    EXPECT_EQ(answered(Framing::kLength, 0), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_EQ(answered(Framing::kLength, 5, true), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(answered(Framing::kUntilClose, 0), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(answered(Framing::kLength, 5, false, Version::kHttp10), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n");
    EXPECT_EQ(answered(Framing::kUntilClose, 5, false, Version::kHttp10), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    EXPECT_FALSE(write_response(response, Framing::kChunked, 0, false, Version::kHttp10, pool, out));
    response.status = 204;
    EXPECT_EQ(answered(Framing::kLength, 5), "HTTP/1.1 204 No Content\r\n\r\n");
    response.status = 304;
    EXPECT_EQ(answered(Framing::kLength, 5), "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
    out.clear();
    EXPECT_TRUE(write_interim(100, pool, out));
    EXPECT_EQ(text_of(out), "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_F(WriterTest, ChunksOfEverySize) {
    for (const size_t n : {1u, 15u, 16u, 1023u, 1024u, 1025u, 5000u, 60001u}) {
        SliceQueue body(memory.nodes);
        const std::string data(n, 'd');
        push(body, std::string_view(data).substr(0, n / 2));
        if (n / 2 < n) push(body, std::string_view(data).substr(n / 2));
        out.clear();
        ASSERT_TRUE(write_chunk(body, pool, out));
        EXPECT_TRUE(body.empty());
        char size[32];
        std::snprintf(size, sizeof size, "%zx\r\n", n);
        EXPECT_EQ(text_of(out), size + data + "\r\n");
    }
    SliceQueue none(memory.nodes);
    out.clear();
    EXPECT_TRUE(write_chunk(none, pool, out));
    EXPECT_EQ(text_of(out), "");
    EXPECT_TRUE(write_last_chunk(nullptr, pool, out));
    EXPECT_EQ(text_of(out), "0\r\n\r\n");
    out.clear();
    HeaderList trailers(arena);
    ASSERT_TRUE(trailers.add("X-T", "1") && trailers.add("Content-Length", "5") && trailers.add("grpc-status", "0"));
    EXPECT_TRUE(write_last_chunk(&trailers, pool, out));
    EXPECT_EQ(text_of(out), "0\r\nX-T: 1\r\ngrpc-status: 0\r\n\r\n");
}

TEST_F(WriterTest, NoListCanSplitAMessage) {
    using namespace std::string_view_literals;
    for (std::string_view value : {"a\r\nevil: b"sv, "a\nb"sv, "a\rb"sv, "a\0b"sv, "\r\n\r\nGET / HTTP/1.1"sv, "a\x01"sv, "a\x7f"sv}) {
        for (const bool in_name : {false, true}) {
            HeaderList& list = request.headers;
            list.truncate(0);
            ASSERT_TRUE(in_name ? list.add(value, "v") : list.add("x", value));
            const std::string text = written(Framing::kNone, 0);
            const int lines = in_name ? 3 : 4;
            EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), lines) << testing::PrintToString(text);
            EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), lines) << testing::PrintToString(text);
            EXPECT_EQ(text.find('\0'), text.npos);
            HeaderList trailers(arena);
            ASSERT_TRUE(in_name ? trailers.add(value, "v") : trailers.add("x", value));
            out.clear();
            ASSERT_TRUE(write_last_chunk(&trailers, pool, out));
            const std::string last = text_of(out);
            EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), in_name ? 2 : 3) << testing::PrintToString(last);
        }
    }
    request.headers.truncate(0);
    request.path = "/a b\r\nHost: b\r\n\xc3\xa9";
    request.authority = "c\nd";
    const std::string text = written(Framing::kNone, 0);
    EXPECT_EQ(text, "GET /a%20b%0D%0AHost:%20b%0D%0A%C3%A9 HTTP/1.1\r\nhost: c d\r\n\r\n");
}

TEST_F(WriterTest, HeadsAcrossMbufsReadBack) {
    for (int i = 0; i < 90; i++)
        ASSERT_TRUE(request.headers.add(arena.copy("Name-" + std::to_string(i)), arena.copy(std::string(static_cast<size_t>(i) * 13, 'v'))));
    const std::string text = written(Framing::kChunked, 0);
    EXPECT_GT(out.count(), 10u);
    const std::string log = read_requests(text + "0\r\n\r\n", {});
    EXPECT_NE(log.find("END\n"), log.npos);
    for (int i = 0; i < 90; i++)
        EXPECT_NE(log.find("header Name-" + std::to_string(i) + ": [" + std::string(static_cast<size_t>(i) * 13, 'v') + "]\n"), log.npos) << i;
}

// Whatever the reader accepts, written out and read again, is the same request.
TEST_F(WriterTest, RoundTrips) {
    for (std::string_view bytes : {"GET /a/%7Eb?c=%2f HTTP/1.1\r\nHost: a.b:8080\r\nCookie: a=b\r\nAccept: */*\r\nX: \xff\t y\r\n\r\n",
                                   "POST http://c/d HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n\r\n", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
                                   "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH / HTTP/1.1\r\nHost: [::1]:9\r\nConnection: close\r\n\r\n"}) {
        Arena first_arena(memory.chunks), second_arena(memory.chunks);
        SliceQueue in(memory.nodes), again(memory.nodes);
        push(in, bytes);
        HeadReader reader(HeadReader::Kind::kRequest, {});
        Request first(first_arena), second(second_arena);
        reader.start();
        ASSERT_EQ(reader.read_request(in, first), Status::kDone) << bytes;
        ASSERT_TRUE(write_request(first, first.framing, first.content_length, !first.keep_alive, pool, again));
        reader.start();
        ASSERT_EQ(reader.read_request(again, second), Status::kDone) << text_of(again);
        EXPECT_EQ(first.method_text, second.method_text);
        EXPECT_EQ(first.authority, second.authority);
        EXPECT_EQ(first.path, second.path);
        EXPECT_EQ(first.path, second.method == Method::kConnect ? "" : second.original_path) << "what was matched is what is sent";
        EXPECT_EQ(first.framing, second.framing);
        EXPECT_EQ(first.keep_alive, second.keep_alive);
        for (const Header& header : first.headers.items()) {
            if (header.id == HeaderId::kConnection) continue;
            const Header* other = second.headers.find(header.name);
            ASSERT_NE(other, nullptr) << header.name;
            EXPECT_EQ(other->value, header.value);
        }
    }
}

// With n mbufs and m nodes left, for all small n and m: everything or nothing.
TEST_F(WriterTest, NothingIsHalfWritten) {
    rte_mempool* small = rte_pktmbuf_pool_create("writer_small", 3, 0, 0, 512 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    ASSERT_NE(small, nullptr);
    ASSERT_TRUE(request.headers.add("x", arena.copy(std::string(1300, 'v'))));
    for (unsigned mbufs = 0; mbufs <= 3; mbufs++)
        for (unsigned nodes = 0; nodes <= 4; nodes++) {
            SliceNodePool few(nodes);
            SliceQueue to(few);
            rte_mbuf* taken[3];
            for (unsigned i = mbufs; i < 3; i++) taken[i] = rte_pktmbuf_alloc(small);
            const bool whole = write_request(request, Framing::kNone, 0, false, small, to);
            EXPECT_EQ(whole, mbufs == 3 && nodes >= 3) << mbufs << " " << nodes;
            if (!whole) {
                EXPECT_EQ(to.bytes(), 0u);
            }
            to.clear();
            EXPECT_EQ(write_interim(100, small, to), mbufs >= 1 && nodes >= 1);
            to.clear();
            if (nodes >= 1) {
                SliceQueue body(few);
                push(body, std::string(2000, 'b'));
                const bool chunk = write_chunk(body, small, to);
                EXPECT_EQ(chunk, mbufs >= 2 && nodes >= 3) << mbufs << " " << nodes;
                EXPECT_EQ(body.bytes(), chunk ? 0u : 2000u);
                EXPECT_EQ(to.bytes(), chunk ? 2007u : 0u);
            }
            to.clear();
            for (unsigned i = mbufs; i < 3; i++) rte_pktmbuf_free(taken[i]);
        }
    EXPECT_EQ(rte_mempool_in_use_count(small), 0u);
    rte_mempool_free(small);
}

}  // namespace
}  // namespace sluice::http::h1::test
