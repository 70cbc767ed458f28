// The terminal filter's decisions. Everything that moves bytes is behind Forwarder (proxy/upstream_request.h).
#include "filter/router.h"

#include "filter/header_ops.h"
#include "filter/rewrite.h"
#include "filter/text.h"
#include "route/route_table.h"
#include "telemetry/access_log.h"

namespace sluice::filter {
namespace {

constexpr LocalReply kArenaFull{.status = 503, .details = "overload", .reason = "stream memory used up",
                                .flags = telemetry::kOverloadManager};

class Router final : public StreamFilter {
 public:
    Status on_request_headers(http::Request& request, bool end_stream, StreamContext& context) override {
        const route::Route* route = context.route();
        if (!route && context.virtual_host() && wants_https(*context.virtual_host(), request)) {
            const std::string_view pieces[] = {"https://", request.authority, request.path};
            const std::string_view location = context.arena().concat(pieces);
            if (!location.data()) context.send_local_reply(kArenaFull);
            else context.send_local_reply({.status = 301, .details = "direct_response", .location = location});
            return Status::kStop;
        }
        if (!route) {
            const bool known_host = context.virtual_host() != nullptr;
            context.send_local_reply({.status = 404, .details = "route_not_found",
                                      .reason = known_host ? "no route matches" : "no virtual host for this authority",
                                      .flags = telemetry::kNoRoute});
            return Status::kStop;
        }
        switch (route->action) {
            case route::Route::Action::kRedirect: redirect(*route, request, context); return Status::kStop;
            case route::Route::Action::kDirectResponse:
                context.send_local_reply({.status = route->direct.status, .body = route->direct.body,
                                          .details = "direct_response"});
                return Status::kStop;
            case route::Route::Action::kForward: return forward(*route, request, end_stream, context);
        }
        return Status::kStop;
    }
    Status on_request_data(SliceQueue& data, bool end_stream, StreamContext& context) override {
        context.forwarder().send_data(data, end_stream);
        return Status::kContinue;
    }
    Status on_request_trailers(http::HeaderList& trailers, StreamContext& context) override {
        context.forwarder().send_trailers(trailers);
        return Status::kContinue;
    }

 private:
    static void redirect(const route::Route& route, const http::Request& request, StreamContext& context) {
        const std::string_view location = redirect_location(route, request, request.scheme, context.arena());
        if (!location.data()) return context.send_local_reply(kArenaFull);
        context.send_local_reply({.status = route.redirect.status, .details = "direct_response", .location = location});
    }

    static Status forward(const route::Route& route, http::Request& request, bool end_stream, StreamContext& context) {
        const route::WeightedCluster* cluster = route::choose_cluster(route, context.random());
        if (!cluster || cluster->cluster_id == UINT32_MAX || !context.forwarder().select(*cluster)) {
            context.send_local_reply({.status = 503, .details = "cluster_not_found",
                                      .reason = cluster ? "the route's cluster is not known" : "the route's weights add up to 0",
                                      .flags = telemetry::kNoCluster});
            return Status::kStop;
        }
        if (!finish_headers(route, *cluster, request, context)) {
            context.send_local_reply(kArenaFull);
            return Status::kStop;
        }
        context.forwarder().send_headers(request, end_stream);
        return Status::kContinue;
    }

    /// Envoy's finalizeRequestHeaders: changes from the most specific level to the least, then host, then path.
    static bool finish_headers(const route::Route& route, const route::WeightedCluster& cluster, http::Request& request,
                               StreamContext& context) {
        if (!add_expected_timeout(request, context)) return false;
        if (!apply_header_ops(cluster.request_headers, request.headers, context) ||
            !apply_header_ops(route.request_headers, request.headers, context))
            return false;
        if (context.virtual_host() && !apply_header_ops(context.virtual_host()->request_headers, request.headers, context))
            return false;
        if (context.route_table() && !apply_header_ops(context.route_table()->request_headers(), request.headers, context))
            return false;
        if (!cluster.host_rewrite.empty()) request.authority = cluster.host_rewrite;
        else if (!route.rewrite.host.empty()) request.authority = route.rewrite.host;
        const std::string_view path = rewrite_path(route, request.path, context.arena());
        if (!path.data()) return false;
        if (route.rewrite.path != route::Rewrite::Path::kNone &&
            !request.headers.set(http::HeaderId::kXEnvoyOriginalPath, request.path))
            return false;
        request.path = path;
        return true;
    }

    static bool add_expected_timeout(http::Request& request, StreamContext& context) {
        const Duration timeout = context.route_timeout();
        if (timeout.us <= 0) return true;
        char text[20];
        const size_t size = write_number(static_cast<uint64_t>(timeout.us / 1000), text);
        const std::string_view value = context.arena().copy({text, size});
        return value.data() && request.headers.set(http::HeaderId::kXEnvoyExpectedRqTimeoutMs, value);
    }
};

/// envoy.extensions.filters.http.router.v3.Router has no field that we take: apply refuses those that change behaviour.
StreamFilter* create_router(const Config*, Arena& arena) { return arena.make<Router>(); }

}  // namespace

const Factory& router_factory() {
    static constexpr Factory factory{.type_url = kRouterTypeUrl, .name = "envoy.filters.http.router", .terminal = true,
                                     .create = create_router};
    return factory;
}

bool wants_https(const route::VirtualHost& host, const http::Request& request) {
    if (host.require_tls == route::VirtualHost::RequireTls::kNone) return false;
    const http::Header* proto = request.headers.find(http::HeaderId::kXForwardedProto);
    return !proto || proto->value != "https";
}

bool apply_response_header_ops(http::HeaderList& headers, const route::WeightedCluster* cluster, StreamContext& context) {
    if (!context.route()) return true;
    if (cluster && !apply_header_ops(cluster->response_headers, headers, context)) return false;
    if (!apply_header_ops(context.route()->response_headers, headers, context)) return false;
    if (context.virtual_host() && !apply_header_ops(context.virtual_host()->response_headers, headers, context)) return false;
    return !context.route_table() || apply_header_ops(context.route_table()->response_headers(), headers, context);
}

}  // namespace sluice::filter
