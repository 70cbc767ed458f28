// See the header. Every slice is an exact-size heap copy, so that address sanitizer sees reads past its end.
#include "tests/http/h1_driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/support/eal.h"

namespace sluice::http::h1::test {
namespace {

void put(std::string& log, std::string_view label, std::string_view text) {
    log.append(label).append("=").append(text).append("\n");
}

void put_headers(std::string& log, std::string_view label, const HeaderList& headers) {
    for (const Header& header : headers.items()) {
        if (header.id != header_id(header.name)) log += "WRONG ID ";
        log.append(label).append(header.name).append(": [").append(header.value).append("]\n");
    }
}

const char* name_of(Framing framing) {
    switch (framing) {
        case Framing::kNone: return "none";
        case Framing::kLength: return "length";
        case Framing::kChunked: return "chunked";
        case Framing::kUntilClose: return "until-close";
    }
    return "";
}

void put_head(std::string& log, const Request& r) {
    log += "REQUEST\n";
    put(log, "method", r.method_text);
    put(log, "known-method", to_string(r.method));
    put(log, "scheme", r.scheme);
    put(log, "authority", r.authority);
    put(log, "path", r.path);
    put(log, "original", r.original_path);
    put(log, "version", r.version == Version::kHttp11 ? "1.1" : "1.0");
    put(log, "framing", name_of(r.framing));
    put(log, "length", std::to_string(r.content_length));
    log += r.keep_alive ? "keep-alive\n" : "close\n";
    if (r.expect_continue) log += "expect-continue\n";
    if (r.upgrade) log += "upgrade\n";
    put_headers(log, "header ", r.headers);
}

void put_head(std::string& log, const Response& r) {
    log += "RESPONSE\n";
    put(log, "status", std::to_string(r.status));
    put(log, "version", r.version == Version::kHttp11 ? "1.1" : "1.0");
    put(log, "framing", name_of(r.framing));
    put(log, "length", std::to_string(r.content_length));
    log += r.keep_alive ? "keep-alive\n" : "close\n";
    put_headers(log, "header ", r.headers);
}

// Hands out the pieces of a stream one by one.
class Feed {
 public:
    Feed(std::string_view bytes, std::span<const size_t> cuts, SliceNodePool& nodes) : in(nodes), bytes_(bytes), cuts_(cuts) {}
    bool more() {
        if (at_ >= bytes_.size()) return false;
        size_t end = bytes_.size();
        while (next_ < cuts_.size() && cuts_[next_] <= at_) next_++;
        if (next_ < cuts_.size() && cuts_[next_] < end) end = cuts_[next_];
        push(in, bytes_.substr(at_, end - at_));
        at_ = end;
        return true;
    }
    size_t left() const { return bytes_.size() - at_ + in.bytes(); }
    SliceQueue in;

 private:
    std::string_view bytes_;
    std::span<const size_t> cuts_;
    size_t at_ = 0, next_ = 0;
};

// False if the stream ends here.
bool read_body(std::string& log, Feed& feed, SliceNodePool& nodes, const Play& play, Framing framing, uint64_t length, Arena& arena) {
    BodyReader body;
    body.start(framing, length, play.limits);
    SliceQueue out(nodes);
    HeaderList trailers(arena);
    uint64_t consumed = 0;
    Status status;
    while ((status = body.read(feed.in, out, play.body_step, play.keep_trailers ? &trailers : nullptr, &consumed)) == Status::kNeedMore) {
        if (!feed.in.empty()) continue;   // body_step was reached
        if (feed.more()) continue;
        status = play.until_close ? body.end_of_stream() : Status::kNeedMore;
        break;
    }
    put(log, "body", text_of(out));
    if (play.keep_trailers) put_headers(log, "trailer ", trailers);
    if (status == Status::kDone) {
        if (!body.done()) log += "NOT DONE\n";
        if (framing != Framing::kChunked && consumed != out.bytes()) log += "WRONG COUNT\n";
        put(log, "consumed", std::to_string(consumed));
        log += "END\n";
        return true;
    }
    if (status == Status::kError) put(log, "BODY ERROR", to_string(body.error()));
    else log += "BODY INCOMPLETE\n";
    return false;
}

template <typename Message, typename ReadHead>
std::string read_messages(std::string_view bytes, std::span<const size_t> cuts, const Play& play, HeadReader::Kind kind, ReadHead read_head) {
    Memory memory;
    std::string log;
    Feed feed(bytes, cuts, memory.nodes);
    HeadReader reader(kind, play.limits, play.path);
    for (;;) {
        Arena arena(memory.chunks, play.arena_bytes);
        Message message(arena);
        reader.start();
        Status status;
        while ((status = read_head(reader, feed.in, message)) == Status::kNeedMore)
            if (!feed.in.empty()) log += "BYTES LEFT\n";
            else if (!feed.more()) break;
        if (status == Status::kError) {
            put(log, "ERROR", to_string(reader.error()));
            return log;
        }
        if (status == Status::kNeedMore) {
            if (reader.bytes_read() > 0) put(log, "INCOMPLETE", std::to_string(reader.bytes_read()));
            return log;
        }
        put_head(log, message);
        put(log, "head-bytes", std::to_string(reader.bytes_read()));
        bool tunnel = false;
        if constexpr (std::is_same_v<Message, Request>) tunnel = message.method == Method::kConnect || message.upgrade;
        else tunnel = message.status == 101 || (play.request_method == Method::kConnect && message.status / 100 == 2);
        if (!read_body(log, feed, memory.nodes, play, message.framing, message.content_length, arena)) return log;
        if ((tunnel || !message.keep_alive) && !play.follow_closed) {
            put(log, "CLOSED", std::to_string(feed.left()));
            return log;
        }
    }
}

}  // namespace

namespace {
ArenaChunkPool& process_chunks() {
    static ArenaChunkPool chunks(256, 16);
    return chunks;
}
SliceNodePool& process_nodes() {
    static SliceNodePool nodes(1 << 17);
    return nodes;
}
}  // namespace

Memory::Memory()
    : chunks(process_chunks()), nodes(process_nodes()), chunks_before(chunks.in_use()), large_before(chunks.large.in_use()),
      nodes_before(nodes.in_use()), mbufs_before(rte_mempool_in_use_count(sluice::test::test_mempool())) {}

Memory::~Memory() {
    const uint32_t mbufs = rte_mempool_in_use_count(sluice::test::test_mempool());
    if (chunks.in_use() == chunks_before && chunks.large.in_use() == large_before && nodes.in_use() == nodes_before && mbufs == mbufs_before)
        return;
    std::fprintf(stderr, "leak: %u chunks, %u nodes, %u mbufs\n", chunks.in_use() - chunks_before, nodes.in_use() - nodes_before,
                 mbufs - mbufs_before);
    std::abort();
}

void push(SliceQueue& queue, std::string_view bytes) {
    // A slice attached as external buffer holds at most 64 KiB - 1.
    do {
        const auto piece = bytes.substr(0, 60000);
        if (!queue.push_back(sluice::test::heap_slice(piece))) std::abort();
        bytes.remove_prefix(piece.size());
    } while (!bytes.empty());
}

std::string text_of(const SliceQueue& queue) {
    std::string text;
    for (const SliceNode* node = queue.head(); node; node = node->next)
        text.append(reinterpret_cast<const char*>(node->slice.data()), node->slice.size());
    return text;
}

std::string read_requests(std::string_view bytes, std::span<const size_t> cuts, const Play& play) {
    return read_messages<Request>(bytes, cuts, play, HeadReader::Kind::kRequest,
                                  [](HeadReader& reader, SliceQueue& in, Request& request) { return reader.read_request(in, request); });
}

std::string read_responses(std::string_view bytes, std::span<const size_t> cuts, const Play& play) {
    return read_messages<Response>(bytes, cuts, play, HeadReader::Kind::kResponse,
                                   [&](HeadReader& reader, SliceQueue& in, Response& response) {
                                       return reader.read_response(in, response, play.request_method);
                                   });
}

std::vector<size_t> cut_every(size_t size, size_t step) {
    std::vector<size_t> cuts;
    for (size_t at = step; at < size; at += step) cuts.push_back(at);
    return cuts;
}

uint64_t next_random(uint64_t& seed) {  // splitmix64
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

std::vector<size_t> cut_at_random(size_t size, uint64_t& seed) {
    std::vector<size_t> cuts;
    if (size < 2) return cuts;
    for (uint64_t n = 1 + next_random(seed) % 8; n > 0; n--) cuts.push_back(1 + next_random(seed) % (size - 1));
    std::sort(cuts.begin(), cuts.end());
    return cuts;
}

void mutate(std::string& bytes, uint64_t& seed) {
    static constexpr char kBytes[] = "\r\n\0\t :;,=\"\\/%?#.0159afAFxXcCtThH-_@\x7f\x80\xff";
    for (uint64_t n = 1 + next_random(seed) % 3; n > 0; n--) {
        if (bytes.empty()) bytes = "G";
        const size_t at = next_random(seed) % bytes.size();
        const char byte = kBytes[next_random(seed) % (sizeof kBytes - 1)];
        switch (next_random(seed) % 4) {
            case 0: bytes[at] = byte; break;
            case 1: bytes.erase(at, 1 + next_random(seed) % 3); break;
            case 2: bytes.insert(at, 1, byte); break;
            default: bytes.insert(at, bytes.substr(next_random(seed) % bytes.size(), next_random(seed) % 20)); break;
        }
    }
}

}  // namespace sluice::http::h1::test
