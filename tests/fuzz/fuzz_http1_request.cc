// libFuzzer target: requests with bodies, read whole and cut, must be read alike; what is accepted must survive being written
// and read again. Input: a byte of options, a byte that seeds the cuts, then the stream. Slices are exact-size heap buffers.
#include "tests/fuzz/fuzz_http1.h"

namespace {

using namespace sluice::http;
using namespace sluice::http::h1;

// Written and read again, an accepted request is the same one: nothing in it can be taken for a line of its own.
void check_rewritten(std::string_view bytes, const test::Play& play) {
    test::Memory memory;
    sluice::Arena first_arena(memory.chunks), second_arena(memory.chunks);
    sluice::SliceQueue in(memory.nodes), again(memory.nodes);
    test::push(in, bytes);
    Request first(first_arena), second(second_arena);
    HeadReader reader(HeadReader::Kind::kRequest, play.limits, play.path);
    reader.start();
    if (reader.read_request(in, first) != h1::Status::kDone) return;
    strip_hop_by_hop(first.headers);
    if (!write_request(first, first.framing, first.content_length, !first.keep_alive, sluice::test::test_mempool(), again)) return;
    // The same limits would refuse what grew by a content-length or a lower-case name's worth.
    HeadReader second_reader(HeadReader::Kind::kRequest, {}, play.path);
    second_reader.start();
    const h1::Status status = second_reader.read_request(again, second);
    const bool had_host = !first.authority.empty();
    if (status != h1::Status::kDone) {
        if (had_host) fuzz::fail("written request is refused", test::text_of(again), to_string(second_reader.error()));
        return;
    }
    if (!again.empty()) fuzz::fail("bytes behind a written head", test::text_of(again), "");
    const bool same = first.method_text == second.method_text && first.authority == second.authority && first.path == second.path &&
                      (first.framing == second.framing || second.content_length == 0) && first.content_length == second.content_length;
    if (!same) fuzz::fail("written request reads differently", std::string(first.path), second.path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const test::Play play = fuzz::options(data[0]);
    fuzz::check_cuts(test::read_requests, bytes, play, data[1]);
    check_rewritten(bytes, play);
    return 0;
}
