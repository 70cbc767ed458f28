// HttpConnectionManager -> what the data plane needs of it.
// In: a manager whose fields the walk let through. Out: snapshot::HttpConnectionManager; defaults are Envoy's.
// Envoy extensions.filters.network.http_connection_manager.v3.
#include <algorithm>

#include "ctrl/apply/field_table.h"
#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/filter_configs.h"
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

bool read_filters(const HcmProto& in, filter::Chain& out, const At& at) {
    bool good = true;
    for (int i = 0; i < in.http_filters_size(); i++) {
        const auto& filter = in.http_filters(i);
        const At here = at.child("http_filters", i);
        const std::string type = extension_type(filter.typed_config());
        const ExtensionRule* rule = find_extension(type);
        if (rule && rule->rule == Rule::kIgnore) continue;
        const filter::Factory* factory = filter::find_factory(filter.typed_config().type_url());
        const FilterReader* reader = find_filter_reader(filter.typed_config().type_url());
        // Let through by the table without a factory of ours: does nothing as long as no route configures it.
        if (rule && rule->rule == Rule::kRead && !factory) {
            if (!filter.typed_config().value().empty()) good = here.refuse("HTTP filter " + type + " is not supported yet");
            continue;
        }
        if (!factory || !reader) {
            good = here.refuse("HTTP filter " + type + " is not supported");
            continue;
        }
        auto config = reader->read(filter.typed_config());
        if (!config) {
            good = here.child("typed_config").refuse(config.error());
            continue;
        }
        if (factory->terminal != (i + 1 == in.http_filters_size())) {
            good = here.refuse(factory->terminal ? "a terminal filter must be the last one" : "the last filter must be a terminal one (the router)");
        }
        out.push_back({factory, filter.name(), std::move(*config)});
    }
    if (out.empty() && good) return at.child("http_filters").refuse("no terminal filter (the router) at the end of the chain");
    return good;
}

bool read_limits(const HcmProto& in, http::h1::Limits& out, const At& at) {
    if (in.has_max_request_headers_kb()) {
        const uint32_t kib = in.max_request_headers_kb().value();
        constexpr uint32_t kMost = route::kScratchTextBytes / 1024;
        if (kib == 0 || kib > kMost) return at.child("max_request_headers_kb").refuse("must be 1 to " + std::to_string(kMost));
        out.header_bytes = kib * 1024;
    }
    const auto& common = in.common_http_protocol_options();
    if (common.has_max_requests_per_connection()) {
        return at.child("common_http_protocol_options.max_requests_per_connection").refuse("not supported for downstream connections yet");
    }
    if (common.has_max_headers_count()) {
        const uint32_t count = common.max_headers_count().value();
        if (count == 0 || count > 1000) return at.child("common_http_protocol_options.max_headers_count").refuse("must be 1 to 1000");
        out.headers = count;
    }
    return true;
}

void read_path_options(const HcmProto& in, http::h1::PathOptions& out) {
    using Escaped = http::h1::PathOptions::EscapedSlashes;
    out.normalize = in.normalize_path().value();
    out.merge_slashes = in.merge_slashes();
    switch (in.path_with_escaped_slashes_action()) {
        case HcmProto::REJECT_REQUEST: out.escaped_slashes = Escaped::kReject; break;
        case HcmProto::UNESCAPE_AND_FORWARD: out.escaped_slashes = Escaped::kUnescape; break;
        default: out.escaped_slashes = Escaped::kKeep; break;
    }
}

bool read_timeouts(const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at) {
    const auto read = [&](bool has, const google::protobuf::Duration& from, Duration& to, std::string_view field) {
        return !has || read_duration(from, to, at.child(field));
    };
    const auto& common = in.common_http_protocol_options();
    // Unlike Envoy, heads have a deadline also where nothing is said (snapshot.h: 60 s): slow heads cost memory (THREATS 20).
    return read(in.has_request_timeout(), in.request_timeout(), out.request_timeout, "request_timeout") &
           read(in.has_request_headers_timeout(), in.request_headers_timeout(), out.request_headers_timeout, "request_headers_timeout") &
           read(in.has_stream_idle_timeout(), in.stream_idle_timeout(), out.stream_idle_timeout, "stream_idle_timeout") &
           read(in.has_drain_timeout(), in.drain_timeout(), out.drain_timeout, "drain_timeout") &
           read(in.has_delayed_close_timeout(), in.delayed_close_timeout(), out.delayed_close_timeout, "delayed_close_timeout") &
           read(common.has_idle_timeout(), common.idle_timeout(), out.idle_timeout, "common_http_protocol_options.idle_timeout");
}

bool read_server_header(const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at) {
    using Server = snapshot::HttpConnectionManager::ServerHeader;
    if (!in.server_name().empty()) out.server_name = in.server_name();
    switch (in.server_header_transformation()) {
        case HcmProto::OVERWRITE: out.server_header = Server::kOverwrite; return true;
        case HcmProto::APPEND_IF_ABSENT: out.server_header = Server::kAppendIfAbsent; return true;
        case HcmProto::PASS_THROUGH: out.server_header = Server::kPassThrough; return true;
        default: return at.child("server_header_transformation").refuse("an unknown value");
    }
}

void read_client_cert(const HcmProto& in, snapshot::HttpConnectionManager& out) {
    using Forward = snapshot::HttpConnectionManager::ForwardClientCert;
    switch (in.forward_client_cert_details()) {
        case HcmProto::FORWARD_ONLY: out.forward_client_cert = Forward::kForwardOnly; break;
        case HcmProto::APPEND_FORWARD: out.forward_client_cert = Forward::kAppendForward; break;
        case HcmProto::SANITIZE_SET: out.forward_client_cert = Forward::kSanitizeSet; break;
        case HcmProto::ALWAYS_FORWARD_ONLY: out.forward_client_cert = Forward::kAlwaysForwardOnly; break;
        default: out.forward_client_cert = Forward::kSanitize; break;
    }
    const auto& details = in.set_current_client_cert_details();
    out.client_cert_details = {details.subject().value(), details.cert(), details.chain(), details.dns(), details.uri()};
}

}  // namespace

bool read_manager(const Build& build, const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at) {
    out.stat_prefix = in.stat_prefix();
    out.use_remote_address = in.use_remote_address().value();
    out.xff_num_trusted_hops = in.xff_num_trusted_hops();
    out.generate_request_id = !in.has_generate_request_id() || in.generate_request_id().value();
    out.preserve_external_request_id = in.preserve_external_request_id();
    read_path_options(in, out.path);
    read_client_cert(in, out);
    return read_filters(in, out.filters, at) & read_limits(in, out.limits, at) & read_timeouts(in, out, at) &
           read_server_header(in, out, at) & read_access_logs(build, in, out, at);
}

}  // namespace sluice::apply
