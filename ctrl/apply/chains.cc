// FilterChainMatch -> route::ChainMatch.
// In: a match whose fields the walk let through. Out: values for the chain index; Nacks where one is wrong.
// Envoy listener.v3.FilterChainMatch.
#include <algorithm>

#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::listener::v3;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

bool read_prefixes(const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& in, std::vector<route::IpPrefix>& out, const At& at,
                   std::string_view field) {
    bool good = true;
    for (int i = 0; i < in.size(); i++) {
        const auto ip = IpAddress::parse(in[i].address_prefix());
        const uint32_t bits = in[i].prefix_len().value();
        if (!ip || bits > (ip->is_v4() ? 32u : 128u)) good = at.child(field, i).refuse("not an address range");
        else out.push_back({*ip, static_cast<uint8_t>(bits)});
    }
    return good;
}

}  // namespace

bool read_chain_match(const FilterChainProto& chain, route::ChainMatch& out, const At& at) {
    const auto& in = chain.filter_chain_match();
    const At here = at.child("filter_chain_match");
    bool good = true;
    if (in.destination_port().value() > 65535) good = here.child("destination_port").refuse("not a port");
    out.destination_port = static_cast<uint16_t>(in.destination_port().value());
    good &= read_prefixes(in.prefix_ranges(), out.destinations, here, "prefix_ranges") & read_prefixes(in.source_prefix_ranges(), out.sources, here, "source_prefix_ranges");
    for (const std::string& name : in.server_names()) out.server_names.push_back(lower(name));
    if (in.transport_protocol() == "tls") out.transport = route::TransportProtocol::kTls;
    else if (in.transport_protocol() == "raw_buffer") out.transport = route::TransportProtocol::kRaw;
    else if (!in.transport_protocol().empty()) good = here.child("transport_protocol").refuse("\"" + in.transport_protocol() + "\" is neither tls nor raw_buffer");
    out.alpn.assign(in.application_protocols().begin(), in.application_protocols().end());
    using Source = route::ChainMatch::SourceType;
    out.source_type = in.source_type() == pb::FilterChainMatch::SAME_IP_OR_LOOPBACK ? Source::kSameIpOrLoopback
                      : in.source_type() == pb::FilterChainMatch::EXTERNAL          ? Source::kExternal
                                                                                    : Source::kAny;
    for (int i = 0; i < in.source_ports_size(); i++) {
        if (in.source_ports(i) == 0 || in.source_ports(i) > 65535) good = here.child("source_ports", i).refuse("not a port");
        else out.source_ports.push_back(static_cast<uint16_t>(in.source_ports(i)));
    }
    return good;
}

std::string describe(const route::ChainMatch& match) {
    std::string out;
    const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
    for (const std::string& name : match.server_names) add("sni " + name);
    if (match.transport == route::TransportProtocol::kTls) add("tls");
    if (match.transport == route::TransportProtocol::kRaw) add("plain text");
    for (const std::string& name : match.alpn) add("alpn " + name);
    if (match.destination_port != 0) add("port " + std::to_string(match.destination_port));
    for (const auto& prefix : match.destinations) add("to " + prefix.ip.to_string() + "/" + std::to_string(prefix.bits));
    for (const auto& prefix : match.sources) add("from " + prefix.ip.to_string() + "/" + std::to_string(prefix.bits));
    if (match.source_type != route::ChainMatch::SourceType::kAny) add(match.source_type == route::ChainMatch::SourceType::kExternal ? "external" : "local");
    return out;
}

}  // namespace sluice::apply
