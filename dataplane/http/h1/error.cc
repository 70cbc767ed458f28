// What each refusal is called and which status answers it. RFC 9110 15.5, RFC 9112 3.2, 6.1; RFC 6585 5.
// In: Error. Out: constants. Owns nothing.
#include "http/h1/codec.h"

namespace sluice::http::h1 {

uint16_t response_status(Error error) {
    switch (error) {
        case Error::kTargetTooLong: return 414;
        case Error::kHeadersTooLarge:
        case Error::kTooManyHeaders:
        case Error::kTrailersTooLarge: return 431;
        case Error::kBadExpect: return 417;
        case Error::kUnknownTransferCoding: return 501;
        case Error::kVersionNotSupported: return 505;
        case Error::kArenaFull: return 503;
        default: return 400;
    }
}

std::string_view to_string(Error error) {
    switch (error) {
        case Error::kNone: return "no error";
        case Error::kBadRequestLine: return "request line is not METHOD SP target SP version";
        case Error::kBadMethod: return "method is not a token";
        case Error::kBadTarget: return "request target is not valid for its method";
        case Error::kBadVersion: return "no HTTP version in the start line";
        case Error::kVersionNotSupported: return "HTTP version is neither 1.0 nor 1.1";
        case Error::kBadHeaderName: return "header name is not a token";
        case Error::kBadHeaderValue: return "control character in a header value";
        case Error::kObsFold: return "header continued on a second line (obs-fold)";
        case Error::kSpaceBeforeColon: return "white space between header name and colon";
        case Error::kBareCr: return "CR without LF";
        case Error::kBareLf: return "LF without CR";
        case Error::kNul: return "NUL in the head";
        case Error::kHeadersTooLarge: return "head is larger than the limit";
        case Error::kTooManyHeaders: return "more header fields or connection options than the limit";
        case Error::kTargetTooLong: return "request target is longer than the limit";
        case Error::kNoHost: return "HTTP/1.1 request without host";
        case Error::kManyHosts: return "host given twice";
        case Error::kBadHost: return "host is not host[:port]";
        case Error::kBadContentLength: return "content-length is not a plain number, or not allowed here";
        case Error::kManyContentLengths: return "content-length given twice";
        case Error::kLengthWithTransferEncoding: return "content-length together with transfer-encoding";
        case Error::kBadTransferEncoding: return "transfer-encoding is not exactly \"chunked\", or not allowed here";
        case Error::kTransferEncodingInHttp10: return "transfer-encoding in an HTTP/1.0 message";
        case Error::kBadChunkSize: return "chunk size is not 1 to 16 hex digits";
        case Error::kBadChunkExtension: return "chunk extension is malformed or too long";
        case Error::kBadChunkEnd: return "chunk data is not followed by CRLF";
        case Error::kTrailersTooLarge: return "trailers are larger than the limit";
        case Error::kBadTrailer: return "trailer is malformed or not allowed as one";
        case Error::kBadStatusLine: return "status line is not version SP code SP reason";
        case Error::kBadUpgrade: return "upgrade is malformed or missing on a 101";
        case Error::kBadExpect: return "expect is not 100-continue";
        case Error::kArenaFull: return "no memory left for this message";
        case Error::kUnexpectedEnd: return "peer closed in the middle of a message";
        case Error::kUnknownTransferCoding: return "transfer coding other than chunked";
        case Error::kCount: break;
    }
    return "unknown";
}

}  // namespace sluice::http::h1
