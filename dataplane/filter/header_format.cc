// Parses and evaluates %FORMAT% operators of header values. The same parser decides what is supported and what is run.
#include "filter/header_format.h"

#include <algorithm>
#include <array>
#include <optional>

#include "filter/text.h"
#include "route/route_table.h"

namespace sluice::filter {
namespace {

enum class Op : uint8_t {
    kPercent, kRemote, kRemoteIp, kDirectRemote, kDirectRemoteIp, kLocal, kLocalIp, kLocalPort, kUpstream, kUpstreamIp, kCluster,
    kProtocol, kRouteName, kVirtualHostName, kStartTime, kReq,
};

struct Operator {
    Op op = Op::kPercent;
    std::string_view name{}, other{};   // of %REQ()%
    size_t max = SIZE_MAX;
};

struct Named {
    std::string_view text;
    Op op;
};
constexpr Named kPlain[] = {
    {"DOWNSTREAM_REMOTE_ADDRESS", Op::kRemote}, {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Op::kRemoteIp},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Op::kDirectRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Op::kDirectRemoteIp},
    {"DOWNSTREAM_LOCAL_ADDRESS", Op::kLocal}, {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Op::kLocalIp},
    {"DOWNSTREAM_LOCAL_PORT", Op::kLocalPort}, {"UPSTREAM_REMOTE_ADDRESS", Op::kUpstream},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Op::kUpstreamIp}, {"UPSTREAM_CLUSTER", Op::kCluster}, {"PROTOCOL", Op::kProtocol},
    {"ROUTE_NAME", Op::kRouteName}, {"VIRTUAL_HOST_NAME", Op::kVirtualHostName}, {"START_TIME", Op::kStartTime},
};

bool header_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == ':';
    });
}

/// "REQ(NAME?OTHER):N"
std::optional<Operator> parse_req(std::string_view text) {
    const size_t close = text.find(')');
    if (close == std::string_view::npos) return std::nullopt;
    Operator op{.op = Op::kReq};
    op.name = text.substr(4, close - 4);
    if (const size_t mark = op.name.find('?'); mark != std::string_view::npos) {
        op.other = op.name.substr(mark + 1);
        op.name = op.name.substr(0, mark);
        if (!header_name(op.other)) return std::nullopt;
    }
    if (!header_name(op.name)) return std::nullopt;
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return op;
    if (rest.front() != ':' || rest.size() < 2 || rest.size() > 6) return std::nullopt;
    op.max = 0;
    for (const char c : rest.substr(1)) {
        if (c < '0' || c > '9') return std::nullopt;
        op.max = op.max * 10 + static_cast<size_t>(c - '0');
    }
    return op;
}

/// Reads the operator at `value[at]` (a '%') and moves `at` behind it. Empty: none of ours.
std::optional<Operator> read_operator(std::string_view value, size_t& at) {
    if (value.substr(at).starts_with("%%")) {
        at += 2;
        return Operator{};
    }
    const size_t end = value.find('%', at + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = value.substr(at + 1, end - at - 1);
    at = end + 1;
    if (text.starts_with("REQ(")) return parse_req(text);
    for (const Named& named : kPlain) {
        if (named.text == text) return Operator{.op = named.op};
    }
    return std::nullopt;
}

std::string_view request_field(const http::Request& request, std::string_view name) {
    if (http::iequals(name, ":path")) return request.path;
    if (http::iequals(name, ":authority") || http::iequals(name, "host")) return request.authority;
    if (http::iequals(name, ":method")) return request.method_text;
    if (http::iequals(name, ":scheme")) return request.scheme;
    const http::Header* header = request.headers.find(name);
    return header ? header->value : std::string_view{};
}

std::string_view protocol_text(http::Version version) {
    switch (version) {
        case http::Version::kHttp10: return "HTTP/1.0";
        case http::Version::kHttp11: return "HTTP/1.1";
        case http::Version::kHttp2: return "HTTP/2";
    }
    return "-";
}

using Buffer = std::array<char, 64>;

std::string_view ip_text(const IpAddress& ip, Buffer& buffer) { return {buffer.data(), write_ip(ip, buffer.data())}; }
std::string_view socket_text(const SocketAddress& address, Buffer& buffer) {
    return {buffer.data(), write_socket_address(address, buffer.data())};
}
std::string_view or_dash(std::string_view text) { return text.empty() ? std::string_view("-") : text; }

std::string_view evaluate(const Operator& op, StreamContext& context, Buffer& buffer) {
    const SocketAddress& remote = context.downstream_remote();
    const SocketAddress& local = context.downstream_local();
    const SocketAddress& upstream = context.upstream_remote();
    switch (op.op) {
        case Op::kPercent: return "%";
        case Op::kRemote: return socket_text({context.client_address(), remote.port}, buffer);
        case Op::kRemoteIp: return ip_text(context.client_address(), buffer);
        case Op::kDirectRemote: return socket_text(remote, buffer);
        case Op::kDirectRemoteIp: return ip_text(remote.ip, buffer);
        case Op::kLocal: return socket_text(local, buffer);
        case Op::kLocalIp: return ip_text(local.ip, buffer);
        case Op::kLocalPort: return {buffer.data(), write_number(local.port, buffer.data())};
        case Op::kUpstream: return upstream.port ? socket_text(upstream, buffer) : "-";
        case Op::kUpstreamIp: return upstream.port ? ip_text(upstream.ip, buffer) : "-";
        case Op::kCluster: return or_dash(context.cluster_name());
        case Op::kProtocol: return protocol_text(context.request().version);
        case Op::kRouteName: return context.route() ? or_dash(context.route()->name) : "-";
        case Op::kVirtualHostName: return context.virtual_host() ? or_dash(context.virtual_host()->name) : "-";
        case Op::kStartTime: write_iso_time(context.start_unix_us(), buffer.data()); return {buffer.data(), kIsoTimeSize};
        case Op::kReq: {
            std::string_view field = request_field(context.request(), op.name);
            if (field.empty() && !op.other.empty()) field = request_field(context.request(), op.other);
            return or_dash(field).substr(0, op.max);
        }
    }
    return "-";
}

/// Hands each piece of the formatted value to take(text), in order.
template <typename Take>
void for_each_piece(std::string_view value, StreamContext& context, Take&& take) {
    Buffer buffer;
    for (size_t at = 0; at < value.size();) {
        const size_t percent = std::min(value.find('%', at), value.size());
        if (percent > at) take(value.substr(at, percent - at));
        at = percent;
        if (at == value.size()) break;
        const size_t from = at;
        const auto op = read_operator(value, at);
        if (op) {
            take(evaluate(*op, context, buffer));
            continue;
        }
        take(value.substr(from, 1));  // refused by apply; kept as text should it ever come here
        at = from + 1;
    }
}

}  // namespace

bool header_format_supported(std::string_view value) {
    for (size_t at = value.find('%'); at != std::string_view::npos; at = value.find('%', at)) {
        if (!read_operator(value, at)) return false;
    }
    return true;
}

std::string_view format_header_value(std::string_view value, StreamContext& context) {
    if (value.find('%') == std::string_view::npos) return value.data() ? value : std::string_view("");
    size_t size = 0;
    for_each_piece(value, context, [&](std::string_view piece) { size += piece.size(); });
    auto* out = static_cast<char*>(context.arena().allocate(size ? size : 1, 1));
    if (!out) return {};
    char* at = out;
    for_each_piece(value, context, [&](std::string_view piece) {
        std::copy(piece.begin(), piece.end(), at);
        at += piece.size();
    });
    return {out, size};
}

}  // namespace sluice::filter
