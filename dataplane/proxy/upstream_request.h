// A request's way to an endpoint: which one, on which connection, and once more if a pooled connection turns out to be dead.
// In: headers and body from the router, events from the connection. Out: bytes to the connection, the answer to the stream.
// Owned by its Stream; pins the cluster it uses. RFC 9110 9.2.2 and RFC 9112 9.3.1 for what may be sent twice.
#pragma once

#include <cstdint>
#include <string_view>

#include "filter/filter.h"
#include "http/message.h"
#include "proxy/core.h"
#include "route/route.h"
#include "snapshot/part.h"
#include "upstream/cluster.h"
#include "upstream/pool.h"

namespace sluice::proxy {

class Stream;
class UpstreamConnection;

/// Why an exchange with an upstream failed before it was complete.
enum class UpstreamFailure : uint8_t {
    kConnectRefused, kConnectTimeout, kConnectUnreachable, kNoPorts, kConnectReset, kNoResources, kClosed, kReset, kProtocolError,
    kHandshake /* TLS, after the connection was made */, kNoSecret /* TLS, and its certificate is not there yet */,
};

class UpstreamRequest final : public filter::Forwarder, public upstream::PendingRequest {
 public:
    explicit UpstreamRequest(Stream& stream) : stream_(&stream) {}
    ~UpstreamRequest() { cancel(); }

    // filter::Forwarder
    bool select(const route::WeightedCluster& cluster) override;
    void send_headers(const http::Request& request, bool end_stream) override;
    void send_data(SliceQueue& data, bool end_stream) override;
    void send_trailers(const http::HeaderList& trailers) override;

    /// Body bytes taken now.
    uint64_t room();
    /// The answer's side has room again.
    void on_downstream_writable();
    /// Lets go of the connection: given back to the pool if the exchange is complete, else closed.
    void cancel();
    bool active() const { return state_ == State::kWaiting || state_ == State::kSent; }

    // By the connection.
    /// Writes the head (and nothing else: body follows by resume). False if memory ran out: the request has failed then.
    bool on_attached(UpstreamConnection& connection);
    void on_writable();
    void on_headers(bool end_stream);
    void on_data(SliceQueue& data, bool end_stream);
    uint64_t response_room();
    /// The exchange is complete: the connection has gone back to its pool.
    void on_complete();
    /// `silent`: not one byte of an answer came; `reused`: the connection had carried a request before.
    void on_failure(UpstreamFailure failure, bool silent, bool reused, std::string_view detail);
    /// `reason`: what TLS says of it.
    void on_connect_failure(UpstreamFailure failure, std::string_view reason);
    /// Leaves the queue for a connection.
    void stop_waiting();
    http::Response& response();
    http::HeaderList& response_trailers();
    http::Method method() const;
    bool sent() const { return request_sent_; }
    const upstream::Cluster& cluster() const { return *cluster_; }
    const upstream::Endpoint& endpoint() const { return *endpoint_; }

    // For the stream's record.
    const route::WeightedCluster* weighted_cluster() const { return weighted_; }
    const Stream& stream() const { return *stream_; }
    const UpstreamConnection* connection() const { return connection_; }
    std::string_view cluster_name() const { return cluster_ ? std::string_view(cluster_->name) : std::string_view(); }
    /// Whom its requests are counted for: the endpoint's workload, else the cluster's service; UINT32_MAX without a cluster.
    uint32_t destination_id() const { return endpoint_ ? endpoint_->destination_id : cluster_ ? cluster_->destination.id : UINT32_MAX; }
    const SocketAddress& endpoint_address() const { return remote_; }
    const SocketAddress& local_address() const { return local_; }
    uint32_t attempts() const { return attempts_; }
    bool answered() const { return answered_; }
    /// Why the last connection could not be made or broke, where TLS knows; in the stream's arena.
    std::string_view transport_failure() const { return transport_failure_; }
    /// Of the connection last used.
    telemetry::PrincipalsId principals() const { return principals_.id(); }
    void on_timeout();

 private:
    enum class State : uint8_t { kNone, kWaiting, kSent, kComplete, kFailed };
    void start_attempt(bool fresh);
    void release_counts();
    void fail(const filter::LocalReply& reply);
    bool repeatable() const;
    std::string_view in_words(UpstreamFailure failure, std::string_view detail);
    void keep_transport_failure(std::string_view reason);
    filter::LocalReply transport_failed(const filter::LocalReply& plain);
    void count_failure(telemetry::FailureReason reason, bool connect);

    Stream* stream_;
    const route::WeightedCluster* weighted_ = nullptr;
    snapshot::Pin<upstream::Cluster> cluster_;
    const upstream::Endpoint* endpoint_ = nullptr;   // in the pinned cluster's set
    UpstreamConnection* connection_ = nullptr;
    const http::Request* request_ = nullptr;
    SocketAddress remote_, local_;
    State state_ = State::kNone;
    bool headers_end_stream_ = false, request_sent_ = false, body_sent_ = false, resent_ = false, counted_ = false;
    bool answered_ = false;
    uint32_t attempts_ = 0;
    std::string_view transport_failure_;
    telemetry::PrincipalUse principals_;
};

/// One more request on an endpoint's connections: attaches waiting requests to a connection that is free.
void serve_pending(Core& core, UpstreamConnection& connection);
/// All requests that wait for an endpoint fail (its connection could not be made), as Envoy purges them.
void fail_pending(Core& core, uint32_t endpoint_id, UpstreamFailure failure, std::string_view reason = {});
/// Opens connections while more requests wait for this endpoint than are being opened.
void connect_for_pending(Core& core, uint32_t endpoint_id);

}  // namespace sluice::proxy
