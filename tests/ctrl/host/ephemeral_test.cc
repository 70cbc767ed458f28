// The gateway's source ports beside the kernel's: by default wherever room is, as written where that is apart, else refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/host/ephemeral.h"

namespace sluice::host {
namespace {

using testing::HasSubstr;

GatewayHost host_with(bool exception, std::optional<PortRange> written = std::nullopt) {
    GatewayHost host;
    host.ports.push_back({.name = "a", .exception = exception ? "kernel0" : ""});
    host.limits.ephemeral_ports = written;
    return host;
}
std::string chosen(const GatewayHost& host, std::optional<PortRange> kernel) {
    const auto range = ephemeral_ports(host, kernel);
    return range ? std::to_string(range->first) + "-" + std::to_string(range->last) : range.error();
}

TEST(Ephemeral, ApartFromTheKernelOnlyWhereItSharesAPort) {
    constexpr PortRange kLinux{32768, 60999};
    EXPECT_EQ(chosen(host_with(false), kLinux), "32768-60999");
    EXPECT_EQ(chosen(host_with(false, PortRange{40000, 49999}), kLinux), "40000-49999");
    EXPECT_EQ(chosen(host_with(true), std::nullopt), "32768-60999");
    EXPECT_EQ(chosen(host_with(true), kLinux), "10000-32767");
    EXPECT_EQ(chosen(host_with(true), PortRange{1024, 29999}), "30000-65535");
    EXPECT_EQ(chosen(host_with(true), PortRange{1024, 4999}), "10000-65535");
    EXPECT_EQ(chosen(host_with(true, PortRange{61000, 65535}), kLinux), "61000-65535");
}

TEST(Ephemeral, AnOverlapIsRefusedWithItsCure) {
    EXPECT_THAT(chosen(host_with(true, PortRange{60000, 61000}), PortRange{32768, 60999}),
                testing::AllOf(HasSubstr("60000-61000 overlap 32768-60999"), HasSubstr("limits.ephemeralPorts: 10000-32767"),
                               HasSubstr("sysctl net.ipv4.ip_local_port_range=\"10000 59999\"")));
    EXPECT_THAT(chosen(host_with(true, PortRange{20000, 40000}), PortRange{32768, 60999}), HasSubstr("ip_local_port_range=\"40001 65535\""));
    EXPECT_THAT(chosen(host_with(true), PortRange{1024, 65535}), HasSubstr("nothing is left beside 1024-65535"));
}

TEST(Ephemeral, Ranges) {
    EXPECT_EQ(parse_port_range("40000-49999")->last, 49999);
    for (const char* bad : {"", "-", "40000", "40000-", "-1", "40000-99999", "a-b", "4 0-50", "40000-49999x", "1-2-3"})
        EXPECT_FALSE(parse_port_range(bad)) << bad;
}

}  // namespace
}  // namespace sluice::host
