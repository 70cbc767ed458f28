// Plays a byte stream, cut as told, through the HTTP/1 reader the way the proxy does, and writes down what came out as text.
// In: bytes and cut positions. Out: one line an event. Equal text means equal reading. No test framework: fuzzers use it too.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/slice.h"
#include "http/h1/codec.h"

namespace sluice::http::h1::test {

struct Play {
    Limits limits = {};
    PathOptions path = {};
    uint64_t body_step = UINT64_MAX;      // max_bytes of each BodyReader::read
    bool keep_trailers = true;
    bool until_close = true;              // the peer closes at the end of the bytes
    bool follow_closed = false;           // read on after a message that ends its connection
    Method request_method = Method::kGet; // of responses
    uint32_t arena_bytes = UINT32_MAX;
};

/// Every request in `bytes`, up to an error, the end, or a message that ends the connection.
std::string read_requests(std::string_view bytes, std::span<const size_t> cuts, const Play& play = {});
std::string read_responses(std::string_view bytes, std::span<const size_t> cuts, const Play& play = {});

/// Cut positions.
std::vector<size_t> cut_every(size_t size, size_t step);
/// At 1 to 8 places drawn from `seed`, which is advanced.
std::vector<size_t> cut_at_random(size_t size, uint64_t& seed);
/// A small generator of our own, so that a seed means the same everywhere.
uint64_t next_random(uint64_t& seed);

/// One to three bytes or runs replaced, removed, inserted or repeated: with bytes that mean something to HTTP.
void mutate(std::string& bytes, uint64_t& seed);

/// The process's pools, lent for one play: what was taken must be back when it ends (aborts otherwise).
struct Memory {
    Memory();
    ~Memory();
    ArenaChunkPool& chunks;
    SliceNodePool& nodes;
    uint32_t chunks_before, large_before, nodes_before, mbufs_before;
};

void push(SliceQueue& queue, std::string_view bytes);
std::string text_of(const SliceQueue& queue);

}  // namespace sluice::http::h1::test
