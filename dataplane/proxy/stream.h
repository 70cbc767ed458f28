// One request's life: its head in an arena, its way through the filters, its answer's way back, its timeouts and its record.
// In: a parsed request and body slices from the downstream codec, the answer from the upstream. Out: calls on both. It owns the
// arena, the messages and the request to the upstream; a Pin keeps the route table that it points into. RFC 9110.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "filter/filter.h"
#include "http/message.h"
#include "proxy/core.h"
#include "proxy/tls_info.h"
#include "proxy/upstream_request.h"
#include "route/route_table.h"
#include "snapshot/snapshot.h"
#include "tls/identity.h"

namespace sluice::proxy {

/// The server side of one HTTP version, as a stream sees it.
class DownstreamCodec {
 public:
    /// `framing` and `content_length` tell how the body is to be delimited; with end_stream none follows. False: no memory.
    virtual bool write_headers(const http::Response& response, http::Framing framing, uint64_t content_length, bool end_stream) = 0;
    /// Takes all of `data`.
    virtual bool write_data(SliceQueue& data, bool end_stream) = 0;
    virtual bool write_trailers(const http::HeaderList& trailers) = 0;
    /// Body bytes the client's side takes now; 0 = not now, Stream::on_downstream_writable() will follow.
    virtual uint64_t response_room() = 0;
    /// The stream takes request body again.
    virtual void resume_request_body() = 0;
    /// The answer is complete: the codec lets go of the stream, now or when its delivery is known.
    virtual void end_stream() = 0;
    /// True if the client may be gone although no reset has come: it closed, and only the fate of the answer's bytes will tell a
    /// half close from a leave. The codec then calls Stream::on_delivered() or on_downstream_gone() after end_stream().
    virtual bool delivery_in_doubt() = 0;
    /// What carries the client's side; null if nothing does any more.
    virtual const Transport* transport() const { return nullptr; }
    /// The answer cannot be completed: cut the connection (HTTP/1) so that the client sees it.
    virtual void reset_stream() = 0;

 protected:
    ~DownstreamCodec() = default;
};

/// Who is connected; outlives the stream.
struct DownstreamInfo {
    const snapshot::Listener* listener = nullptr;   // pinned by the connection
    const snapshot::FilterChain* chain = nullptr;   // of the listener
    const TlsInfo* tls = nullptr;                   // of a client over TLS; the transport owns it
    const tls::PeerIdentity* peer = nullptr;        // the same's
    SocketAddress remote, local;
    std::string_view scheme = "http";
};

class Stream final : public filter::StreamContext {
 public:
    Stream(Core& core, DownstreamCodec& codec, const DownstreamInfo& info);
    ~Stream();

    // By the downstream codec, in this order.
    http::Request& request() { return request_; }
    http::HeaderList& request_trailers() { return request_trailers_; }
    /// The head is read. Looks up the route and starts the filters.
    void begin(bool end_stream);
    /// Takes all of `data`. Trailers are those added to request_trailers().
    void on_request_data(SliceQueue& data, bool end_stream);
    /// Body bytes taken now; 0 = not now, DownstreamCodec::resume_request_body() will follow.
    uint64_t request_room();
    void on_downstream_writable();
    /// What end_stream() left in doubt: the answer arrived.
    void on_delivered();
    /// The client is gone: nothing more is answered.
    void on_downstream_gone(uint32_t flags, std::string_view details, std::string_view reason);
    /// So; `reason`: what TLS says of it, else empty.
    void on_transport_failed(std::string_view reason);
    /// An answer to what could not be read (400, 408, 414, 431, ...): no route, no filters.
    void refuse(const filter::LocalReply& reply);
    bool answering() const { return response_started_; }
    bool ended() const { return ended_; }
    bool request_complete() const { return request_complete_; }
    /// The request and where it stands, for the row of either side's connection.
    void describe(worker::ConnectionRow& row) const;
    const UpstreamRequest& upstream() const { return upstream_; }
    const Transport* client() const { return codec_.transport(); }
    Instant request_complete_at() const { return request_complete_at_; }

    /// The next of its timeouts, and what is to be done then.
    Instant deadline() const;
    void on_deadline(Instant now);

    // By the request to the upstream.
    http::Response& response() { return response_; }
    http::HeaderList& response_trailers() { return response_trailers_; }
    void on_upstream_headers(bool end_stream);
    void on_upstream_data(SliceQueue& data, bool end_stream);
    uint64_t response_room();
    void on_upstream_writable();
    /// 503 or 502 if the answer has not begun, else the client's connection is cut.
    void on_upstream_failed(const filter::LocalReply& reply);
    /// A connection carries the request now; `tls`: what its handshake agreed on, nullptr for plain text.
    void on_upstream_attached(const TlsInfo* tls);
    Core& core() { return core_; }

    // filter::StreamContext
    Arena& arena() override { return arena_; }
    Instant now() const override { return core_.now; }
    uint64_t unix_us() const override { return core_.unix_us(); }
    uint64_t start_unix_us() const override { return start_unix_us_; }
    uint64_t random() override { return core_.rng.next(); }
    const http::Request& request() const override { return request_; }
    const route::Route* route() const override { return found_.route; }
    const route::VirtualHost* virtual_host() const override { return found_.virtual_host; }
    const route::RouteTable* route_table() const override { return table_.get(); }
    const filter::Config* route_config(const filter::StreamFilter& filter) const override;
    const SocketAddress& downstream_remote() const override { return info_.remote; }
    const SocketAddress& downstream_local() const override { return info_.local; }
    const IpAddress& client_address() const override { return client_; }
    const SocketAddress& upstream_remote() const override { return upstream_.endpoint_address(); }
    std::string_view cluster_name() const override { return upstream_.cluster_name(); }
    void send_local_reply(const filter::LocalReply& reply) override;
    void continue_request() override;
    void continue_response() override;
    Duration route_timeout() const override;
    filter::Forwarder& forwarder() override { return upstream_; }

    Stream* next_dead = nullptr;   // Core's

 private:
    static constexpr int kNone = -1;
    const snapshot::HttpConnectionManager& hcm() const { return info_.chain->http; }
    bool build_filters();
    void find_route();
    bool refuse_upgrade();
    void run_request_headers(int from);
    void run_request_data(int from, SliceQueue& data, bool end_stream);
    void run_request_trailers(int from);
    void request_is_complete();
    void respond(bool end_stream);
    void run_response_headers(int from);
    void run_response_data(int from, SliceQueue& data, bool end_stream);
    void deliver_headers();
    void deliver_data(SliceQueue& data, bool end_stream);
    void out_of_memory(std::string_view what);
    void reset(uint32_t flags, std::string_view details, std::string_view reason);
    void finish();
    void end();
    void end_exchange();
    void record();
    void record(telemetry::AccessLogEntry& entry, const telemetry::AccessLogSet& logs);
    std::string_view upstream_text(size_t capture) const;
    void count_ends(telemetry::ListenerStats& stats);
    telemetry::RequestKey request_key() const;

    Core& core_;
    DownstreamCodec& codec_;
    const DownstreamInfo& info_;
    Arena arena_;
    http::Request request_;
    http::Response response_;
    http::HeaderList request_trailers_, response_trailers_;
    UpstreamRequest upstream_;
    snapshot::Pin<route::RouteTable> table_;
    route::Found found_;
    filter::StreamFilter** filters_ = nullptr;
    int filter_count_ = 0;
    IpAddress client_;

    // A filter that holds its message, by position; what it holds waits here.
    int request_stopped_ = kNone, response_stopped_ = kNone;
    bool request_headers_done_ = false;   // passed all filters
    bool held_request_end_ = false, held_response_end_ = false, response_headers_delivered_ = false;
    SliceQueue held_request_, held_response_;

    bool begun_ = false, request_complete_ = false, response_started_ = false, response_end_ = false, ended_ = false;
    bool local_reply_ = false, recorded_ = false;
    std::string_view request_path_, request_authority_;   // as routed, before rewrites
    Instant start_, last_activity_, request_complete_at_, upstream_headers_at_;
    Instant route_deadline_ = Instant::never();
    uint64_t start_unix_us_;
    uint64_t bytes_received_ = 0, bytes_sent_ = 0;
    uint32_t flags_ = 0;
    std::string_view reason_, details_, downstream_failure_;
    std::string_view* upstream_texts_ = nullptr;   // by capture of the logs; in the arena
};

}  // namespace sluice::proxy
