// What all readers need: mixed hashes, durations, addresses.
// In: protobuf messages. Out: plain values.
#include <xxhash.h>

#include "ctrl/apply/readers.h"

namespace sluice::apply {

uint64_t mix(uint64_t hash, std::string_view text) { return XXH3_64bits_withSeed(text.data(), text.size(), hash); }
uint64_t mix(uint64_t hash, uint64_t value) { return XXH3_64bits_withSeed(&value, sizeof value, hash); }

bool read_duration(const google::protobuf::Duration& in, Duration& out, const At& at) {
    constexpr int64_t kSecondsMax = 10LL * 366 * 24 * 3600;
    if (in.seconds() < 0 || in.nanos() < 0) return at.refuse("a negative duration");
    if (in.seconds() > kSecondsMax || in.nanos() > 999'999'999) return at.refuse("a duration of more than ten years");
    out = seconds(in.seconds()) + microseconds((in.nanos() + 999) / 1000);
    return true;
}

bool read_address(const envoy::config::core::v3::Address& in, SocketAddress& out, const At& at) {
    const auto& socket = in.socket_address();
    const auto ip = IpAddress::parse(socket.address());
    if (!ip) return at.child("socket_address.address").refuse("\"" + socket.address() + "\" is not an IP address");
    if (socket.port_value() == 0 || socket.port_value() > 65535) {
        return at.child("socket_address.port_value").refuse(std::to_string(socket.port_value()) + " is not a port (1 to 65535)");
    }
    out = {*ip, static_cast<uint16_t>(socket.port_value())};
    return true;
}

}  // namespace sluice::apply
