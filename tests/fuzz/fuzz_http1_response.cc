// libFuzzer target: responses with bodies, read whole and cut, must be read alike, for each kind of request they may answer.
// Input: a byte of options, a byte that seeds the cuts and picks the request's method, then the stream.
#include "tests/fuzz/fuzz_http1.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace sluice::http;
    if (size < 2) return 0;
    h1::test::Play play = fuzz::options(data[0]);
    static constexpr Method kMethods[] = {Method::kGet, Method::kHead, Method::kConnect, Method::kPost};
    play.request_method = kMethods[data[1] & 3];
    fuzz::check_cuts(h1::test::read_responses, {reinterpret_cast<const char*>(data) + 2, size - 2}, play, data[1]);
    return 0;
}
