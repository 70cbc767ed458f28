// What a filter is: a step on a request and on its response. Filters run in the listener's order on the way in and in the
// reverse order on the way out; the last one (the router) answers or forwards. In: headers, body slices, trailers; out: a
// status, or a local reply. An instance lives in its stream's arena: no destructor runs, on_destroy() is called instead.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/ip_address.h"
#include "base/slice.h"
#include "base/time.h"
#include "filter/registry.h"
#include "http/message.h"

namespace sluice::route {
struct Route;
struct VirtualHost;
struct WeightedCluster;
class RouteTable;
}  // namespace sluice::route

namespace sluice::filter {

class StreamFilter;

/// kContinue hands on to the next filter. kStop holds the message at this filter until it calls continue_request() or
/// continue_response(); the sender's window closes meanwhile, nothing is lost.
enum class Status : uint8_t { kContinue, kStop };

/// An answer made here rather than upstream. Its texts must live as long as the stream (literals, route table, arena).
struct LocalReply {
    uint16_t status = 500;
    std::string_view body{};
    std::string_view details{};   // Envoy's response code details: "route_not_found"
    std::string_view reason{};    // in words, for the access log
    uint32_t flags = 0;           // telemetry::ResponseFlag bits
    std::string_view location{};  // for redirects; empty = none
};

/// The way to a cluster: offered to the terminal filter only.
class Forwarder {
 public:
    /// False: there is no such cluster in force.
    virtual bool select(const route::WeightedCluster& cluster) = 0;
    virtual void send_headers(const http::Request& request, bool end_stream) = 0;
    /// Takes all of `data`.
    virtual void send_data(SliceQueue& data, bool end_stream) = 0;
    virtual void send_trailers(const http::HeaderList& trailers) = 0;

 protected:
    ~Forwarder() = default;
};

/// The stream as its filters see it.
class StreamContext {
 public:
    virtual Arena& arena() = 0;
    virtual Instant now() const = 0;
    virtual uint64_t unix_us() const = 0;
    virtual uint64_t start_unix_us() const = 0;
    virtual uint64_t random() = 0;

    virtual const http::Request& request() const = 0;
    /// nullptr: no virtual host or no route matched.
    virtual const route::Route* route() const = 0;
    virtual const route::VirtualHost* virtual_host() const = 0;
    virtual const route::RouteTable* route_table() const = 0;
    /// This filter's configuration for the matched route (typed_per_filter_config), or nullptr.
    virtual const Config* route_config(const StreamFilter& filter) const = 0;

    /// The immediate peer, and the address it connected to.
    virtual const SocketAddress& downstream_remote() const = 0;
    virtual const SocketAddress& downstream_local() const = 0;
    /// The trusted client: the immediate peer, or taken from X-Forwarded-For as configured.
    virtual const IpAddress& client_address() const = 0;
    /// Of the endpoint in use; unspecified with port 0 before there is one.
    virtual const SocketAddress& upstream_remote() const = 0;
    virtual std::string_view cluster_name() const = 0;

    /// Ends the request here. Runs the response through the filters; later calls do nothing.
    virtual void send_local_reply(const LocalReply& reply) = 0;
    virtual void continue_request() = 0;
    virtual void continue_response() = 0;
    /// The route's timeout, or Envoy's 15 s; zero = none. Also armed from here on by the stream.
    virtual Duration route_timeout() const = 0;
    virtual Forwarder& forwarder() = 0;

 protected:
    ~StreamContext() = default;
};

class StreamFilter {
 public:
    virtual Status on_request_headers(http::Request&, bool /*end_stream*/, StreamContext&) { return Status::kContinue; }
    virtual Status on_request_data(SliceQueue&, bool /*end_stream*/, StreamContext&) { return Status::kContinue; }
    virtual Status on_request_trailers(http::HeaderList&, StreamContext&) { return Status::kContinue; }
    virtual Status on_response_headers(http::Response&, bool /*end_stream*/, StreamContext&) { return Status::kContinue; }
    virtual Status on_response_data(SliceQueue&, bool /*end_stream*/, StreamContext&) { return Status::kContinue; }
    virtual Status on_response_trailers(http::HeaderList&, StreamContext&) { return Status::kContinue; }
    /// The stream ends; nothing else is called after.
    virtual void on_destroy() {}

    /// Place in the listener's chain.
    uint8_t position() const { return position_; }
    void set_position(uint8_t position) { position_ = position; }

 protected:
    StreamFilter() = default;
    ~StreamFilter() = default;

 private:
    uint8_t position_ = 0;
};

}  // namespace sluice::filter
