// /v1/connections: all cores' connections, filtered and sorted while they come, so that a million of them need no more memory
// than what is shown. show and close name one by its id.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cctype>

#include "ctrl/admin/json.h"
#include "ctrl/admin/names.h"
#include "ctrl/admin/views.h"
#include "http/message.h"

namespace sluice::admin {

namespace {

using worker::ConnectionRow;
using Role = ConnectionRow::Role;

constexpr uint64_t kLimitMax = 100'000, kLimitDefault = 100;

// As `ss` writes them.
constexpr std::string_view kStates[] = {"closed", "listen", "syn-sent", "syn-received", "established", "fin-wait-1", "fin-wait-2", "close-wait", "closing", "last-ack", "time-wait"};
constexpr std::string_view kRoles[] = {"handshake", "downstream", "upstream", "closing"};
constexpr std::string_view kSorts[] = {"bytes", "age", "idle", "rtt", "requests"};

std::string_view state_text(tcp::State state) { return kStates[static_cast<size_t>(state)]; }
std::string_view role_text(Role role) { return kRoles[static_cast<size_t>(role)]; }
template <typename List>
bool is_one_of(const List& list, const std::string& word) { return std::find(std::begin(list), std::end(list), word) != std::end(list); }

template <typename List>
std::string joined(const List& list) {
    std::string out;
    for (const auto& word : list) out += (out.empty() ? "" : ", ") + std::string(word);
    return out;
}

std::optional<uint64_t> number(const std::string& text) {
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(n) : std::nullopt;
}

struct Query {
    uint16_t port = 0;                   // of either end; 0: any
    std::string host, cluster;
    std::optional<IpPrefix> peer;
    std::string state;                   // of TCP, or a role; empty: any
    uint64_t idle_us = 0;
    std::string sort;
    uint64_t limit = kLimitDefault;

    static Result<Query, Answer> read(const Request& request);
    bool matches(const ConnectionRow& row) const;
    uint64_t key(const ConnectionRow& row) const;
};

bool is_cluster(std::string_view name, const std::string& wanted) {
    const ClusterName split = split_cluster_name(name);
    return name == wanted || split.host == wanted || short_host(split.host, true) == wanted || short_host(split.host, false) == wanted;
}

Result<Query, Answer> Query::read(const Request& r) {
    Query q;
    const auto bad = [](const std::string& what, const std::string& cure) { return unexpected(Answer::error(400, what, cure)); };
    q.host = r.parameter("host"), q.cluster = r.parameter("cluster"), q.state = r.parameter("state"), q.sort = r.parameter("sort");
    if (const std::string port = r.parameter("port"); !port.empty()) {
        const auto n = number(port);
        if (!n || *n == 0 || *n > UINT16_MAX) return bad(fmt::format("port `{}` is no port", port), "a number from 1 to 65535");
        q.port = static_cast<uint16_t>(*n);
    }
    if (const std::string peer = r.parameter("peer"); !peer.empty()) {
        q.peer = IpPrefix::parse(peer);
        if (const auto ip = IpAddress::parse(peer); ip) q.peer = IpPrefix{*ip, static_cast<uint8_t>(ip->is_v4() ? 32 : 128)};
        if (!q.peer) return bad(fmt::format("peer `{}` is neither an address nor a prefix", peer), "as 10.0.0.0/8 or 2001:db8::1");
    }
    if (!q.state.empty() && !is_one_of(kStates, q.state) && !is_one_of(kRoles, q.state))
        return bad(fmt::format("no state `{}`", q.state), joined(kStates) + "; or " + joined(kRoles));
    if (!q.sort.empty() && !is_one_of(kSorts, q.sort)) return bad(fmt::format("cannot sort by `{}`", q.sort), joined(kSorts));
    if (const std::string idle = r.parameter("idle_us"); !idle.empty()) {
        const auto n = number(idle);
        if (!n) return bad(fmt::format("idle_us `{}` is no number", idle), "microseconds");
        q.idle_us = *n;
    }
    if (const std::string limit = r.parameter("limit"); !limit.empty()) {
        const auto n = number(limit);
        if (!n || *n == 0 || *n > kLimitMax) return bad(fmt::format("limit `{}`", limit), fmt::format("a number from 1 to {}", kLimitMax));
        q.limit = *n;
    }
    return q;
}

bool Query::matches(const ConnectionRow& row) const {
    if (port && row.tuple.local.port != port && row.tuple.remote.port != port) return false;
    if (peer && !peer->contains(row.tuple.remote.ip)) return false;
    if (!state.empty() && state != state_text(row.tcp.state) && state != role_text(row.role)) return false;
    if (row.idle_us < idle_us) return false;
    if (!host.empty()) {
        const std::string_view asked = row.host.view();
        const size_t colon = asked.rfind(':');
        if (!row.in_request || (!http::iequals(asked, host) && !http::iequals(asked.substr(0, colon), host))) return false;
    }
    return cluster.empty() || is_cluster(row.role == Role::kUpstream ? row.owner.view() : row.cluster.view(), cluster);
}

uint64_t Query::key(const ConnectionRow& row) const {
    if (sort == "bytes") return row.bytes_received + row.bytes_sent;
    if (sort == "age") return row.age_us;
    if (sort == "idle") return row.idle_us;
    if (sort == "rtt") return static_cast<uint64_t>(row.tcp.smoothed_rtt.us);
    return row.requests;
}

/// The `limit` largest by the query's key, or the first ones if there is none.
class Top {
 public:
    explicit Top(const Query& query) : query_(query) {}
    void add(const ConnectionRow& row) {
        if (!query_.matches(row)) return;
        matched_++;
        if (query_.sort.empty()) {
            if (rows_.size() < query_.limit) rows_.push_back(row);
            return;
        }
        rows_.push_back(row);
        if (rows_.size() >= 2 * query_.limit + 64) cut();
    }
    const std::vector<ConnectionRow>& rows() {
        if (!query_.sort.empty()) cut();
        return rows_;
    }
    uint64_t matched() const { return matched_; }

 private:
    void cut() {
        std::stable_sort(rows_.begin(), rows_.end(), [&](const auto& a, const auto& b) { return query_.key(a) > query_.key(b); });
        if (rows_.size() > query_.limit) rows_.resize(query_.limit);
    }
    const Query& query_;
    std::vector<ConnectionRow> rows_;
    uint64_t matched_ = 0;
};

double s_of(uint64_t us) { return static_cast<double>(us) / 1e6; }
double ms_of(Duration d) { return static_cast<double>(d.us) / 1e3; }

template <uint16_t kBytes>
std::string text_of(const worker::CutText<kBytes>& text) { return std::string(text.view()) + (text.cut ? "..." : ""); }

Json request_json(const ConnectionRow& row) {
    if (!row.in_request) return nullptr;
    return {{"method", text_of(row.method)}, {"host", text_of(row.host)}, {"path", text_of(row.path)}, {"age_s", s_of(row.request_age_us)},
            {"status", row.status ? Json(row.status) : Json(nullptr)}, {"route", text_of(row.route)}, {"cluster", text_of(row.cluster)}};
}

Json row_json(const Sources& s, const ConnectionRow& row) {
    const auto workers = s.workers ? s.workers() : std::vector<WorkerRuntime>{};
    Json out{{"id", ConnectionName{row.core, row.id}.to_string()}, {"core", row.core < workers.size() ? workers[row.core].core : row.core},
             {"role", role_text(row.role)}, {"state", state_text(row.tcp.state)}, {"local", row.tuple.local.to_string()},
             {"remote", row.tuple.remote.to_string()}, {"owner", text_of(row.owner)}, {"protocol", row.tls.empty() ? std::string(row.protocol) : fmt::format("{} {}", row.protocol, row.tls)}, {"phase", row.phase},
             {"age_s", s_of(row.age_us)}, {"idle_s", s_of(row.idle_us)}, {"bytes_received", row.bytes_received}, {"bytes_sent", row.bytes_sent},
             {"rtt_ms", ms_of(row.tcp.smoothed_rtt)}, {"cwnd_bytes", row.tcp.cwnd}, {"retransmits", row.tcp.retransmits},
             {"receive_queue_bytes", row.receive_queue_bytes}, {"send_queue_bytes", row.send_queue_bytes}, {"requests", row.requests},
             {"request", request_json(row)}, {"pair", nullptr}};
    if (row.pair.valid()) out["pair"] = {{"id", ConnectionName{row.core, row.pair}.to_string()}, {"remote", row.pair_remote.to_string()}};
    return out;
}

/// What `ss -tiemo` would say.
Json tcp_json(const tcp::Info& t) {
    return {{"rtt_ms", ms_of(t.smoothed_rtt)}, {"rtt_variance_ms", ms_of(t.rtt_variance)}, {"min_rtt_ms", ms_of(t.min_rtt)}, {"rto_ms", ms_of(t.rto)},
            {"backoff", t.backoff}, {"probes", t.probes}, {"cwnd_bytes", t.cwnd}, {"ssthresh_bytes", t.ssthresh == UINT32_MAX ? Json(nullptr) : Json(t.ssthresh)},
            {"peer_window_bytes", t.snd_wnd}, {"mss_bytes", t.snd_mss}, {"received_mss_bytes", t.rcv_mss}, {"path_mtu_bytes", t.path_mtu},
            {"unacked_segments", t.unacked}, {"sacked_segments", t.sacked}, {"lost_segments", t.lost}, {"retransmitting_segments", t.retransmitting},
            {"retransmits", t.retransmits}, {"unsent_bytes", t.unsent_bytes}, {"bytes_acked", t.bytes_acked}, {"bytes_received", t.bytes_received},
            {"timestamps", t.timestamps}, {"sack", t.sack}, {"ecn", t.ecn},
            {"window_scale", t.window_scale ? Json{{"send", t.snd_shift}, {"receive", t.rcv_shift}} : Json(nullptr)}};
}

Answer no_such(const std::string& id) {
    return Answer::error(404, fmt::format("connection {} has ended", id), "sluicectl connections list shows those that are open");
}
Answer no_name(const std::string& id) { return Answer::error(400, fmt::format("`{}` is no connection's id", id), "as sluicectl connections list shows it: 0.17.5"); }
Answer silent_core() { return Answer::error(503, "the core does not answer: it is stalled or overloaded", "sluicectl runtime shows it; the gateway's log tells of stalls"); }

}  // namespace

std::string ConnectionName::to_string() const { return fmt::format("{}.{}.{}", core, id.slot, id.generation); }

std::optional<ConnectionName> ConnectionName::parse(std::string_view text) {
    ConnectionName name;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    for (uint32_t* part : {&name.core, &name.id.slot, &name.id.generation}) {
        if (part != &name.core && (at == end || *at++ != '.')) return std::nullopt;
        const auto [next, error] = std::from_chars(at, end, *part);
        if (error != std::errc{}) return std::nullopt;
        at = next;
    }
    return at == end && name.id.valid() ? std::optional(name) : std::nullopt;
}

Answer connections(const Sources& s, const Request& request) {
    if (!s.list_connections) return Answer::error(501, "this gateway has no connections");
    const auto query = Query::read(request);
    if (!query) return query.error();
    Top top(*query);
    uint64_t total = 0;
    const ListedConnections listed = s.list_connections([&](const ConnectionRow& row) {
        total++;
        top.add(row);
    });
    Json rows = Json::array();
    for (const ConnectionRow& row : top.rows()) rows.push_back(row_json(s, row));
    return Answer::json(dump({{"connections", std::move(rows)}, {"matched", top.matched()}, {"open", total}, {"time_wait", listed.time_wait},
                              {"silent_cores", listed.silent}}));
}

Answer show_connection(const Sources& s, const Request& request) {
    const std::string id = request.parameter("id");
    const auto name = ConnectionName::parse(id);
    if (!name) return no_name(id);
    bool silent = false;
    const auto row = s.show_connection ? s.show_connection(*name, silent) : std::nullopt;
    if (silent) return silent_core();
    if (!row) return no_such(id);
    Json out = row_json(s, *row);
    out["tcp"] = tcp_json(row->tcp);
    return Answer::json(dump(out));
}

Answer close_connection(const Sources& s, const Request& request) {
    const std::string id = request.parameter("id");
    const auto name = ConnectionName::parse(id);
    if (!name) return no_name(id);
    if (!s.close_connection) return no_such(id);
    const auto outcome = s.close_connection(*name, request.parameter("reset") == "1");
    if (!outcome) return silent_core();
    constexpr const char* kOutcomes[] = {"gone", "closed", "after_request", "reset", "closing"};
    if (*outcome == worker::CloseOutcome::kGone) return no_such(id);
    return Answer::json(dump({{"id", id}, {"outcome", kOutcomes[static_cast<size_t>(*outcome)]}}));
}

}  // namespace sluice::admin
