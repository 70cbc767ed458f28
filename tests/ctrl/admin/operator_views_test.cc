// What operators ask of the cores, over a gateway that is only its answers: connections and their filters, drops, log tail,
// capture, and pcapng byte by byte.
#include <gmock/gmock.h>
#include <rte_mbuf.h>

#include <cstring>
#include <set>

#include "base/checksum.h"
#include "base/endian.h"
#include "ctrl/admin/drops.h"
#include "ctrl/admin/json.h"
#include "ctrl/admin/pcapng.h"
#include "ctrl/admin/views.h"
#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin {
namespace {

using testing::HasSubstr;
using worker::ConnectionRow;

SocketAddress at(const char* ip, uint16_t port) { return {*IpAddress::parse(ip), port}; }

ConnectionRow downstream(uint32_t slot, const char* ip, uint64_t bytes) {
    ConnectionRow row;
    row.id = {slot, 1};
    row.role = ConnectionRow::Role::kDownstream;
    row.tuple = {at("192.0.2.10", 80), at(ip, 40000)};
    row.tcp.state = tcp::State::kEstablished;
    row.bytes_received = bytes;
    row.idle_us = bytes * 1'000'000;
    row.owner.set("0.0.0.0_80");
    return row;
}

class OperatorViews : public testing::Test {
 protected:
    OperatorViews() {
        for (uint32_t i = 0; i < 300; i++) rows.push_back(downstream(i, i % 2 ? "198.51.100.7" : "203.0.113.9", i));
        rows[7].in_request = true;
        rows[7].host.set("Shop.example:80");
        rows[7].path.set("/held?" + std::string(500, 'x'));
        rows[7].cluster.set("outbound|9080|v1|reviews.shop.svc.cluster.local");
        rows[7].pair = {900, 3};
        sources = gateway.sources();
        sources.list_connections = [this](const auto& take) {
            for (const auto& row : rows) take(row);
            return ListedConnections{.time_wait = 5, .silent = silent};
        };
        sources.show_connection = [this](const ConnectionName& name, bool& is_silent) -> std::optional<ConnectionRow> {
            is_silent = name.core == 9;
            for (const auto& row : rows)
                if (row.id == name.id && name.core == 0) return row;
            return std::nullopt;
        };
        sources.close_connection = [this](const ConnectionName& name, bool reset) {
            closed = name.to_string() + (reset ? " reset" : "");
            return std::optional(reset ? worker::CloseOutcome::kReset : worker::CloseOutcome::kAfterRequest);
        };
        sources.recent_log = &log;
    }
    Answer ask(Answer (*view)(const Sources&, const Request&), std::multimap<std::string, std::string> parameters) {
        return view(sources, {.method = "GET", .path = "", .parameters = std::move(parameters), .writable = true});
    }
    Json list(std::multimap<std::string, std::string> parameters) {
        const Answer answer = ask(connections, std::move(parameters));
        EXPECT_EQ(answer.status, 200) << answer.body;
        return Json::parse(answer.body);
    }
    test::FakeGateway gateway;
    Sources sources;
    std::vector<ConnectionRow> rows;
    std::vector<uint32_t> silent;
    std::string closed;
    RecentLog log;
};

TEST_F(OperatorViews, ConnectionsAreFilteredSortedAndLimited) {
    Json all = list({});
    EXPECT_EQ(all["connections"].size(), 100u);
    EXPECT_EQ(all["matched"], 300);
    EXPECT_EQ(all["open"], 300);
    EXPECT_EQ(all["time_wait"], 5);
    EXPECT_EQ(list({{"limit", "1000"}})["connections"].size(), 300u);
    const Json top = list({{"sort", "bytes"}, {"limit", "2"}})["connections"];
    EXPECT_EQ(top[0]["bytes_received"], 299);
    EXPECT_EQ(top[1]["bytes_received"], 298);
    EXPECT_EQ(list({{"peer", "198.51.100.0/24"}})["matched"], 150);
    EXPECT_EQ(list({{"peer", "203.0.113.9"}})["matched"], 150);
    EXPECT_EQ(list({{"port", "80"}})["matched"], 300);
    EXPECT_EQ(list({{"port", "81"}})["matched"], 0);
    EXPECT_EQ(list({{"idle_us", "290000000"}})["matched"], 10);
    EXPECT_EQ(list({{"state", "established"}})["matched"], 300);
    EXPECT_EQ(list({{"state", "upstream"}})["matched"], 0);
    for (const char* host : {"shop.example", "shop.example:80"}) EXPECT_EQ(list({{"host", host}})["matched"], 1) << host;
    for (const char* cluster : {"reviews", "reviews.shop", "outbound|9080|v1|reviews.shop.svc.cluster.local"}) EXPECT_EQ(list({{"cluster", cluster}})["matched"], 1) << cluster;
    silent = {3};
    EXPECT_EQ(list({})["silent_cores"], Json::array({3}));
}

TEST_F(OperatorViews, WhatCannotBeAskedIsToldWithACure) {
    const std::multimap<std::string, std::string> wrong[] = {{{"port", "x"}}, {{"peer", "10.0.0.0/99"}}, {{"state", "open"}}, {{"sort", "name"}}, {{"limit", "0"}}, {{"idle_us", "-1"}}};
    for (const auto& parameters : wrong) {
        const Answer answer = ask(connections, parameters);
        EXPECT_EQ(answer.status, 400) << parameters.begin()->first;
        EXPECT_FALSE(Json::parse(answer.body)["cure"].get<std::string>().empty());
    }
}

TEST_F(OperatorViews, OneConnection) {
    const Json row = Json::parse(ask(show_connection, {{"id", "0.7.1"}}).body);
    EXPECT_EQ(row["request"]["path"].get<std::string>().size(), 160u + 3);
    EXPECT_EQ(row["pair"]["id"], "0.900.3");
    EXPECT_TRUE(row["tcp"].contains("rto_ms"));
    EXPECT_EQ(ask(show_connection, {{"id", "0.7.3"}}).status, 404) << "another generation";
    EXPECT_EQ(ask(show_connection, {{"id", "9.7.1"}}).status, 503) << "a silent core";
    for (const char* id : {"", "7", "0.7", "0.7.1.2", "0.7.0", "a.b.c", "0.7.1x", "-1.7.1", "0.99999999999.1"}) EXPECT_EQ(ask(show_connection, {{"id", id}}).status, 400) << id;
    EXPECT_EQ(Json::parse(ask(close_connection, {{"id", "0.7.1"}}).body)["outcome"], "after_request");
    EXPECT_EQ(closed, "0.7.1");
    ask(close_connection, {{"id", "0.7.1"}, {"reset", "1"}});
    EXPECT_EQ(closed, "0.7.1 reset");
}

TEST_F(OperatorViews, EveryDropHasAMeaningAndACure) {
    std::set<std::string> names;
    for (const auto& r : drop_reasons(sources)) {
        EXPECT_TRUE(names.insert(r.layer + "." + r.reason).second) << r.layer << "." << r.reason << " twice";
        EXPECT_FALSE(r.meaning.empty() || r.cure.empty()) << r.reason;
        EXPECT_TRUE(r.meaning.ends_with('.')) << r.meaning;
    }
    EXPECT_GT(names.size(), 50u);
    EXPECT_EQ(drop_reasons(sources).size(), drop_reasons({}).size()) << "the list does not depend on what is there";
}

TEST_F(OperatorViews, TailEndsOrGoesOn) {
    telemetry::AccessLogEntry entry;
    entry.method = "GET", entry.path = "/x", entry.status = 503, entry.flags = telemetry::kUpstreamConnectionFailure;
    entry.reason = "upstream connection refused by 10.0.0.21:9080";
    log.add(entry);
    Answer answer = ask(log_tail, {{"follow", "0"}, {"status", "5xx"}});
    ASSERT_TRUE(answer.stream) << answer.body;
    std::string out;
    EXPECT_FALSE(answer.stream->next(out));
    const Json record = Json::parse(out);
    EXPECT_EQ(record["flags"], "UF");
    EXPECT_EQ(record["reason"], entry.reason);
    Answer on = ask(log_tail, {{"flags", "NR"}});
    out.clear();
    EXPECT_TRUE(on.stream->next(out));
    EXPECT_EQ(out, "");
    for (const auto& [name, value] : std::multimap<std::string, std::string>{{"flags", "XX"}, {"status", "6xx"}, {"status", "499-400"}, {"history", "x"}, {"history", "1001"}})
        EXPECT_EQ(ask(log_tail, {{name, value}}).status, 400) << name << "=" << value;
    std::vector<Answer> many;
    for (int i = 0; i < 8; i++) many.push_back(ask(log_tail, {}));
    EXPECT_EQ(many.back().status, 429) << "followers are bounded";
}

TEST_F(OperatorViews, CaptureAsksForWhatWasSaid) {
    CaptureWanted seen;
    sources.capture = [&](const CaptureWanted& wanted) -> Result<std::shared_ptr<Stream>> {
        seen = wanted;
        return unexpected(std::string("no"));
    };
    const Answer answer = ask(capture, {{"port", "outside"}, {"port", "inside"}, {"filter", "tcp"}, {"snap", "96"}, {"count", "5"}, {"seconds", "7"}, {"token", "t"}, {"connection", "0.7.1"}});
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(seen.ports, testing::ElementsAre("outside", "inside"));
    EXPECT_EQ(seen.snap_bytes, 96u);
    EXPECT_EQ(seen.frames_max, 5u);
    EXPECT_EQ(seen.seconds_max, 7u);
    ASSERT_EQ(seen.connections.size(), 1u);
    EXPECT_EQ(seen.connections[0], rows[7].tuple);
    EXPECT_EQ(ask(capture, {{"snap", "x"}}).status, 400);
    EXPECT_EQ(ask(capture, {{"connection", "0.7.3"}}).status, 404);
    EXPECT_EQ(ask(stop_capture, {{"token", "t"}}).status, 404);
}

uint32_t u32(const std::string& bytes, size_t at) {
    uint32_t v;
    std::memcpy(&v, bytes.data() + at, 4);
    return v;
}

TEST(Pcapng, BlocksAreWhole) {
    std::string out;
    pcapng_begin({"outside", "in"}, 96, out);
    pcapng_frame({.port = 1, .sent = true, .unix_us = 0x1122334455667788, .length = 100, .bytes = "abcde", .comment = "why"}, out);
    pcapng_statistics({.port = 1, .unix_us = 9, .received = 7, .accepted = 3, .dropped = 2}, out);
    std::vector<uint32_t> types;
    for (size_t at = 0; at < out.size(); at += u32(out, at + 4)) {
        ASSERT_EQ(u32(out, at + 4) % 4, 0u);
        ASSERT_LE(at + u32(out, at + 4), out.size());
        EXPECT_EQ(u32(out, at + u32(out, at + 4) - 4), u32(out, at + 4)) << "the length stands at both ends";
        types.push_back(u32(out, at));
        if (types.back() == 6) {
            EXPECT_EQ(u32(out, at + 8), 1u);
            EXPECT_EQ(u32(out, at + 12), 0x11223344u);
            EXPECT_EQ(u32(out, at + 16), 0x55667788u);
            EXPECT_EQ(u32(out, at + 20), 5u);
            EXPECT_EQ(u32(out, at + 24), 100u);
            EXPECT_EQ(out.substr(at + 28, 8), std::string("abcde\0\0\0", 8));
        }
    }
    EXPECT_THAT(types, testing::ElementsAre(0x0a0d0d0au, 1u, 1u, 6u, 5u));
}

TEST(Pcapng, ChecksumsLeftToTheDeviceAreWritten) {
    const IpAddress from = *IpAddress::parse("192.0.2.10"), to = *IpAddress::parse("192.0.2.7");
    std::string frame(14, 'e');
    std::string ip("\x45\0\0\x2d\0\1\0\0\x40\6\0\0\xc0\0\2\x0a\xc0\0\2\7", 20);
    std::string tcp(20, '\0');
    tcp[12] = 0x50;
    store_be16(tcp.data() + 16, 0xbeef);   // the pseudo-header's sum
    frame += ip + tcp + "hello";
    PcapngFrame f{.port = 0, .sent = true, .unix_us = 0, .length = static_cast<uint32_t>(frame.size()), .bytes = frame, .comment = {}};
    finish_offloads(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM, 14, 20, 0, f);
    EXPECT_EQ(checksum_finish(checksum_add(f.bytes.data() + 14, 20)), 0);
    EXPECT_EQ(checksum_finish(checksum_add(f.bytes.data() + 34, 25, pseudo_header_sum(from, to, 6, 25))), 0);
    EXPECT_EQ(f.comment, "");
    PcapngFrame cut{.port = 0, .sent = true, .unix_us = 0, .length = 1000, .bytes = frame, .comment = {}};
    finish_offloads(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG, 14, 20, 1460, cut);
    EXPECT_THAT(cut.comment, HasSubstr("segments of 1460 bytes"));
    EXPECT_THAT(cut.comment, HasSubstr("the frame is cut"));
    PcapngFrame none{.port = 0, .sent = true, .unix_us = 0, .length = 5, .bytes = "12345", .comment = {}};
    finish_offloads(0, 14, 20, 0, none);
    EXPECT_EQ(none.bytes, "12345");
}

}  // namespace
}  // namespace sluice::admin
