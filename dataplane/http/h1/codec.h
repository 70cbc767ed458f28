// HTTP/1.1 on the wire (RFC 9112): strict, resumable at any byte, no allocation but the stream's arena. The reader takes
// slices from a SliceQueue (the receive queue) and leaves body bytes in them; the writer makes header bytes into fresh slices.
// Ambiguous framing is refused, never repaired (docs/threat_model.md, lines 19-22).
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "base/slice.h"
#include "http/message.h"

namespace sluice::http::h1 {

enum class Status : uint8_t { kDone, kNeedMore, kError };

/// Why a message was refused; each has its response status and its counter.
enum class Error : uint8_t {
    kNone, kBadRequestLine, kBadMethod, kBadTarget, kBadVersion, kVersionNotSupported, kBadHeaderName, kBadHeaderValue, kObsFold,
    kSpaceBeforeColon, kBareCr, kBareLf, kNul, kHeadersTooLarge, kTooManyHeaders, kTargetTooLong, kNoHost, kManyHosts, kBadHost,
    kBadContentLength, kManyContentLengths, kLengthWithTransferEncoding, kBadTransferEncoding, kTransferEncodingInHttp10,
    kBadChunkSize, kBadChunkExtension, kBadChunkEnd, kTrailersTooLarge, kBadTrailer, kBadStatusLine, kBadUpgrade, kBadExpect,
    kArenaFull, kUnexpectedEnd, kCount,
};
/// 400, 414, 431, 501 (unknown transfer coding), 505, 417.
uint16_t response_status(Error error);
/// Words for the access log and for operators ("content-length given twice").
std::string_view to_string(Error error);

struct Limits {
    uint32_t header_bytes = limits::kRequestHeaderBytes;   // whole head, request line included
    uint32_t headers = limits::kHeadersMax;
    uint32_t target_bytes = limits::kRequestTargetBytes;
    uint32_t trailer_bytes = limits::kTrailerBytes;
};

/// What is to be done with path text before routing and policy (Envoy: normalize_path, merge_slashes, escaped slashes).
struct PathOptions {
    bool normalize = true;        // RFC 3986 6.2.2: dot segments, %-case, decode unreserved
    bool merge_slashes = false;
    enum class EscapedSlashes : uint8_t { kKeep, kReject, kUnescape } escaped_slashes = EscapedSlashes::kKeep;
};

/// Reads heads. One object per direction of a connection, reused for each message (start() in between).
class HeadReader {
 public:
    enum class Kind : uint8_t { kRequest, kResponse };
    HeadReader(Kind kind, const Limits& limits, const PathOptions& path = {});
    void start();
    /// Consumes from `in` up to and with the empty line. kDone: *request (or *response) is filled. kNeedMore: all of `in` was taken.
    /// On kError error() says why; `in` is then of no further use. Leading empty lines before a request line are skipped (one CRLF, 9112 2.2).
    Status read_request(SliceQueue& in, Request& request);
    /// `request_method` decides the framing (HEAD; CONNECT + 2xx), 1xx/204/304 too (RFC 9112 6.3).
    Status read_response(SliceQueue& in, Response& response, Method request_method);
    Error error() const;
    /// Bytes of the current head taken so far; 0 = idle between messages.
    uint32_t bytes_read() const;

 private:
    Kind kind_;
    Limits limits_;
    PathOptions path_;
    Error error_ = Error::kNone;
    uint32_t state_ = 0, bytes_ = 0;
    char* buffer_ = nullptr;       // head bytes gathered in the arena when a head spans slices
    uint32_t buffer_size_ = 0, buffer_used_ = 0, scanned_ = 0;
};

/// Moves body bytes from `in` to `out` without framing; bytes are not copied.
class BodyReader {
 public:
    void start(Framing framing, uint64_t content_length, const Limits& limits);
    /// kDone: body complete (trailers, if any, added to *trailers when not null; they are validated either way). Moves at most `max_bytes`.
    /// `consumed` grows by all bytes taken from `in`, framing included (for Connection::consumed).
    Status read(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, HeaderList* trailers, uint64_t* consumed);
    /// The peer closed: kDone if framing is kUntilClose (or nothing was left), else kError (kUnexpectedEnd).
    Status end_of_stream();
    bool done() const;
    Error error() const;

 private:
    Framing framing_ = Framing::kNone;
    Error error_ = Error::kNone;
    uint8_t state_ = 0;
    Limits limits_;
    uint64_t remaining_ = 0;
    uint32_t line_bytes_ = 0, trailer_bytes_ = 0;
    char line_[limits::kChunkLineBytes];
    char* trailer_buffer_ = nullptr;   // in the trailers' arena
    uint32_t trailer_capacity_ = 0;
};

/// Writes heads and chunk framing. Bytes go to fresh mbufs of `pool`; false if pool or nodes are empty (nothing is half written then).
/// Lower-case names as stored; hop-by-hop and framing fields are written here from `framing`, never taken from the list.
[[nodiscard]] bool write_request(const Request& request, Framing framing, uint64_t content_length, bool close,
                                 rte_mempool* pool, SliceQueue& out);
[[nodiscard]] bool write_response(const Response& response, Framing framing, uint64_t content_length, bool close, Version peer_version,
                                  rte_mempool* pool, SliceQueue& out);
/// "HTTP/1.1 100 Continue\r\n\r\n" or another interim status.
[[nodiscard]] bool write_interim(uint16_t status, rte_mempool* pool, SliceQueue& out);
/// Wraps all of `body` as one chunk and moves it to `out`. Empty body: writes nothing.
[[nodiscard]] bool write_chunk(SliceQueue& body, rte_mempool* pool, SliceQueue& out);
/// Last chunk, trailers (may be null), final CRLF.
[[nodiscard]] bool write_last_chunk(const HeaderList* trailers, rte_mempool* pool, SliceQueue& out);

}  // namespace sluice::http::h1
