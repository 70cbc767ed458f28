// HTTP/1.1 on the wire (RFC 9112): strict, resumable at any byte, no allocation but the stream's arena. The reader takes
// slices from a SliceQueue (the receive queue) and leaves body bytes in them; the writer makes header bytes into fresh slices.
// Ambiguous framing is refused, never repaired (docs/threat_model.md, lines 19-22).
#pragma once

#include <cstdint>

#include "base/slice.h"
#include "http/message.h"
#include "http/path.h"

namespace sluice::http::h1 {

enum class Status : uint8_t { kDone, kNeedMore, kError };

/// Why a message was refused; each has its response status and its counter.
enum class Error : uint8_t {
    kNone, kBadRequestLine, kBadMethod, kBadTarget, kBadVersion, kVersionNotSupported, kBadHeaderName, kBadHeaderValue, kObsFold,
    kSpaceBeforeColon, kBareCr, kBareLf, kNul, kHeadersTooLarge, kTooManyHeaders, kTargetTooLong, kNoHost, kManyHosts, kBadHost,
    kBadContentLength, kManyContentLengths, kLengthWithTransferEncoding, kBadTransferEncoding, kTransferEncodingInHttp10,
    kBadChunkSize, kBadChunkExtension, kBadChunkEnd, kTrailersTooLarge, kBadTrailer, kBadStatusLine, kBadUpgrade, kBadExpect,
    kArenaFull, kUnexpectedEnd, kUnknownTransferCoding, kCount,
};
/// 400, 414, 431, 501 (unknown transfer coding), 505, 417; 503 where our own memory ran out. Of an upstream's message: 502 always.
uint16_t response_status(Error error);
/// Words for the access log and for operators ("content-length given twice").
std::string_view to_string(Error error);

struct Limits {
    uint32_t header_bytes = limits::kRequestHeaderBytes;   // whole head, request line included; at most HeadReader::kHeadBytesMax
    uint32_t headers = limits::kHeadersMax;                // at most HeadReader::kHeadersMax
    uint32_t target_bytes = limits::kRequestTargetBytes;
    uint32_t trailer_bytes = limits::kTrailerBytes;
};

using http::PathOptions;

/// Where a scan of a head stands (head_scan.h).
struct HeadScan {
    uint32_t scanned = 0;      // bytes looked at
    uint32_t line_start = 0;   // of the line that has not ended yet
    uint32_t begin = 0;        // of the start line: behind a skipped empty line
    uint32_t lines = 0;        // that ended
    bool after_cr = false;     // the last byte looked at was CR
    Error error = Error::kNone;
};

/// Reads heads. One object per direction of a connection, reused for each message (start() in between).
class HeadReader {
 public:
    enum class Kind : uint8_t { kRequest, kResponse };
    static constexpr uint32_t kHeadersMax = 256;
    static constexpr uint32_t kHeadBytesMax = static_cast<uint32_t>(Arena::max_allocation()) - 64;
    HeadReader(Kind kind, const Limits& limits, const PathOptions& path = {});
    void start();
    /// Consumes from `in` up to and with the empty line. kDone: *request (or *response) is filled. kNeedMore: all of `in` was taken.
    /// On kError error() says why; `in` is then of no further use. Leading empty lines before a request line are skipped (one CRLF, 9112 2.2).
    /// Hand in a fresh Request and the same one until kDone or kError: what was read so far lies in its arena. `scheme` is set
    /// only by an absolute-form target; set it before.
    Status read_request(SliceQueue& in, Request& request);
    /// `request_method` decides the framing (HEAD; CONNECT + 2xx), 1xx/204/304 too (RFC 9112 6.3). Where a body is not allowed,
    /// Content-Length stays in the list and in content_length, for HEAD and 304.
    Status read_response(SliceQueue& in, Response& response, Method request_method);
    Error error() const { return error_; }
    /// Bytes of the current head taken so far; 0 = idle between messages.
    uint32_t bytes_read() const { return scan_.scanned - scan_.begin; }

 private:
    struct Head;   // a complete head: text and line ends
    Status read_head(SliceQueue& in, Arena& arena, Head& head);
    Status gather(SliceQueue& in, Arena& arena, Head& head);
    bool grow(uint32_t needed, Arena& arena);
    Status fail(Error error);

    Kind kind_;
    Error error_ = Error::kNone;
    Limits limits_;
    PathOptions path_;
    HeadScan scan_;
    char* buffer_ = nullptr;       // head bytes gathered in the arena when a head spans slices
    uint32_t buffer_size_ = 0, buffer_used_ = 0;
};

/// Moves body bytes from `in` to `out` without framing; bytes are not copied.
class BodyReader {
 public:
    void start(Framing framing, uint64_t content_length, const Limits& limits);
    /// kDone: body complete (trailers, if any, added to *trailers when not null; they are validated either way). Moves at most `max_bytes`.
    /// `consumed` grows by all bytes taken from `in`, framing included (for Connection::consumed).
    /// kNeedMore with bytes left in `in`: max_bytes was reached. Hand in the same `trailers` for all of one body.
    Status read(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, HeaderList* trailers, uint64_t* consumed);
    /// The peer closed: kDone if framing is kUntilClose (or nothing was left), else kError (kUnexpectedEnd).
    Status end_of_stream();
    bool done() const { return done_; }
    Error error() const { return error_; }

 private:
    enum class State : uint8_t;
    Status read_counted(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, uint64_t* consumed);
    Status read_chunked(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, HeaderList* trailers, uint64_t* consumed);
    bool move(SliceQueue& in, SliceQueue& out, uint64_t n, uint64_t* consumed);
    Error step(char c, HeaderList* trailers);
    Error step_extension(char c);
    Error step_trailer(char c, HeaderList* trailers);
    Error end_size_line();
    Error keep_trailer_byte(char c, HeaderList* trailers);
    Error end_trailer_name();
    Error end_trailer_line(HeaderList* trailers);
    Status fail(Error error);

    Framing framing_ = Framing::kNone;
    Error error_ = Error::kNone;
    State state_{};
    bool done_ = true;
    uint8_t size_digits_ = 0;
    uint8_t name_kept_ = 0;
    uint32_t trailer_bytes_max_ = 0, trailers_max_ = 0;
    uint64_t remaining_ = 0;            // of the body or of the chunk
    uint32_t line_bytes_ = 0;           // of the chunk-size line
    uint32_t extension_bytes_ = 0;      // in excess of data: bounded
    uint32_t trailer_bytes_ = 0, trailers_ = 0;
    char name_[32];                     // start of a trailer's name: enough to know the forbidden ones
    uint32_t name_bytes_ = 0;
    char* trailer_text_ = nullptr;      // in the trailers' arena; the current line starts at trailer_line_
    uint32_t trailer_capacity_ = 0, trailer_used_ = 0, trailer_line_ = 0;
};

/// Writes heads and chunk framing. Bytes go to fresh mbufs of `pool`; false if pool or nodes are empty (nothing is half written then).
/// Lower-case names as stored; hop-by-hop and framing fields are written here from `framing`, never taken from the list:
/// - kLength writes content-length, kChunked transfer-encoding, kNone nothing (but "content-length: 0" for POST, PUT and PATCH).
///   A response to HEAD and a 304 pass kLength if the length is known, and no body; 1xx and 204 never get a framing field.
/// - An Upgrade field still in the list (after strip_hop_by_hop() only one that the proxy put back) is written with
///   "connection: upgrade" if request.upgrade, or on a 101 or 426. A "te: trailers" is written with "connection: te".
/// - A value with CR, LF, NUL or another control is written with spaces in their place (RFC 9110 5.5), a field whose name has one
///   is left out, and a path's spaces and controls are percent-encoded: nothing that a filter or a rewrite does can split a message.
/// Always HTTP/1.1 in the start line (RFC 9110 2.5).
[[nodiscard]] bool write_request(const Request& request, Framing framing, uint64_t content_length, bool close,
                                 rte_mempool* pool, SliceQueue& out);
/// kChunked needs a 1.1 peer: a 1.0 one gets kUntilClose (false otherwise). kUntilClose always writes "connection: close".
[[nodiscard]] bool write_response(const Response& response, Framing framing, uint64_t content_length, bool close, Version peer_version,
                                  rte_mempool* pool, SliceQueue& out);
/// "HTTP/1.1 100 Continue\r\n\r\n" or another interim status.
[[nodiscard]] bool write_interim(uint16_t status, rte_mempool* pool, SliceQueue& out);
/// Wraps all of `body` as one chunk and moves it to `out`. Empty body: writes nothing. A small body is copied beside its framing.
[[nodiscard]] bool write_chunk(SliceQueue& body, rte_mempool* pool, SliceQueue& out);
/// Last chunk, trailers (may be null), final CRLF.
[[nodiscard]] bool write_last_chunk(const HeaderList* trailers, rte_mempool* pool, SliceQueue& out);

}  // namespace sluice::http::h1
