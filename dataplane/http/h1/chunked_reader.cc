// Chunk framing and trailers, a byte a step, so that a cut may fall anywhere. Data bytes never come through here.
// In: one byte. Out: the next state, or why not. Trailer text lies in the arena of the list it is added to.
// RFC 9112 7.1: stricter than its ABNF, which allows white space around ";" and "=": nobody sends it, readers differ on it.
#include <cstring>

#include "http/chars.h"
#include "http/h1/body_state.h"
#include "http/h1/codec.h"

namespace sluice::http::h1 {
namespace {

constexpr uint8_t kSizeDigitsMax = 16;
// Extensions are thrown away; more than this in excess of the data they come with is an attack, not a message.
constexpr uint32_t kExtensionBytesMax = 16 * 1024;
constexpr uint32_t kFirstTrailerBytes = 256;

constexpr bool is_value_char(char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte >= 0x20 ? byte != 0x7f : c == '\t';
}

// RFC 9110 6.5.1 and RFC 9112 7.1.2: framing, routing, request modifiers, authentication, content handling, and what this
// gateway or one behind it believes about the client.
constexpr bool is_forbidden_trailer(HeaderId id) {
    switch (id) {
        case HeaderId::kOther:
        case HeaderId::kDate:
        case HeaderId::kServer:
        case HeaderId::kVia:
        case HeaderId::kRetryAfter:
        case HeaderId::kReferer:
        case HeaderId::kUserAgent:
        case HeaderId::kAccept:
        case HeaderId::kAcceptEncoding:
        case HeaderId::kXEnvoyUpstreamServiceTime:
            return false;
        default:
            return true;
    }
}

}  // namespace

Error BodyReader::end_size_line() {
    if (extension_bytes_ > kExtensionBytesMax) return Error::kBadChunkExtension;
    extension_bytes_ -= remaining_ < extension_bytes_ ? static_cast<uint32_t>(remaining_) : extension_bytes_;
    state_ = remaining_ == 0 ? State::kTrailerStart : State::kData;
    line_bytes_ = 0;
    size_digits_ = 0;
    return Error::kNone;
}

Error BodyReader::step(char c, HeaderList* trailers) {
    if (state_ >= State::kTrailerStart) return step_trailer(c, trailers);
    switch (state_) {
        case State::kSize:
            if (is_char(c, kHexDigit)) {
                if (size_digits_ == kSizeDigitsMax) return Error::kBadChunkSize;
                size_digits_++;
                remaining_ = remaining_ << 4 | hex_value(c);
                line_bytes_++;
                return Error::kNone;
            }
            // 2^63 and above: no body is that long, and signed readers would take it for a negative size.
            if (size_digits_ == 0 || remaining_ > INT64_MAX) return Error::kBadChunkSize;
            if (c == '\r') state_ = State::kSizeLf;
            else if (c == ';') state_ = State::kExtensionName;
            else return c == '\n' ? Error::kBareLf : Error::kBadChunkSize;
            return Error::kNone;
        case State::kSizeLf:
            return c == '\n' ? end_size_line() : Error::kBareCr;
        case State::kDataCr:
            if (c != '\r') return Error::kBadChunkEnd;
            state_ = State::kDataLf;
            return Error::kNone;
        case State::kDataLf:
            if (c != '\n') return Error::kBadChunkEnd;
            state_ = State::kSize;
            return Error::kNone;
        default:
            return step_extension(c);
    }
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )
Error BodyReader::step_extension(char c) {
    extension_bytes_++;
    if (++line_bytes_ > limits::kChunkLineBytes) return Error::kBadChunkExtension;
    const bool token = is_char(c, kTokenChar);
    State next = state_;
    bool may_end = false;   // ";" or CR may follow
    switch (state_) {
        case State::kExtensionName:
            if (!token) break;
            state_ = State::kExtensionNameRest;
            return Error::kNone;
        case State::kExtensionNameRest:
            if (token) return Error::kNone;
            if (c == '=') next = State::kExtensionValue;
            may_end = true;
            break;
        case State::kExtensionValue:
            if (token) next = State::kExtensionToken;
            else if (c == '"') next = State::kExtensionQuoted;
            break;
        case State::kExtensionToken:
            if (token) return Error::kNone;
            may_end = true;
            break;
        case State::kExtensionQuoted:
            if (c == '"') next = State::kExtensionQuoteEnd;
            else if (c == '\\') next = State::kExtensionEscaped;
            else if (is_value_char(c)) return Error::kNone;
            break;
        case State::kExtensionEscaped:
            if (is_value_char(c)) next = State::kExtensionQuoted;
            break;
        default:  // kExtensionQuoteEnd
            may_end = true;
            break;
    }
    if (may_end && c == ';') next = State::kExtensionName;
    if (may_end && c == '\r') next = State::kSizeLf;
    if (next == state_) return c == '\n' ? Error::kBareLf : Error::kBadChunkExtension;
    state_ = next;
    return Error::kNone;
}

// trailer-section = *( field-line CRLF ), then the body's last CRLF. Same rules as for header fields.
Error BodyReader::step_trailer(char c, HeaderList* trailers) {
    if (++trailer_bytes_ > trailer_bytes_max_) return Error::kTrailersTooLarge;
    switch (state_) {
        case State::kTrailerStart:
            if (c == '\r') {
                state_ = State::kFinalLf;
                return Error::kNone;
            }
            if (is_space_or_tab(c)) return Error::kObsFold;
            if (c == '\n') return Error::kBareLf;
            if (++trailers_ > trailers_max_) return Error::kTrailersTooLarge;
            trailer_line_ = trailer_used_;
            name_bytes_ = 0;
            state_ = State::kTrailerName;
            [[fallthrough]];
        case State::kTrailerName:
            if (is_char(c, kTokenChar)) {
                if (name_bytes_ < sizeof name_) name_[name_bytes_] = c;
                name_bytes_++;
                return keep_trailer_byte(c, trailers);
            }
            if (c != ':' || name_bytes_ == 0) return is_space_or_tab(c) ? Error::kSpaceBeforeColon : Error::kBadTrailer;
            return end_trailer_name();
        case State::kTrailerSpace:
            if (is_space_or_tab(c)) return Error::kNone;
            state_ = State::kTrailerValue;
            [[fallthrough]];
        case State::kTrailerValue:
            if (is_value_char(c)) return keep_trailer_byte(c, trailers);
            if (c != '\r') return c == '\n' ? Error::kBareLf : Error::kBadTrailer;
            state_ = State::kTrailerLf;
            return Error::kNone;
        case State::kTrailerLf:
            if (c != '\n') return Error::kBareCr;
            state_ = State::kTrailerStart;
            return end_trailer_line(trailers);
        default:  // kFinalLf
            if (c != '\n') return Error::kBareCr;
            done_ = true;
            return Error::kNone;
    }
}

Error BodyReader::end_trailer_name() {
    // A longer name than any of ours is not one of ours.
    if (name_bytes_ <= sizeof name_ && is_forbidden_trailer(header_id({name_, name_bytes_}))) return Error::kBadTrailer;
    state_ = State::kTrailerSpace;
    return Error::kNone;
}

// The current line lies in one piece: name, then value (which starts at trailer_line_ + name_bytes_).
Error BodyReader::keep_trailer_byte(char c, HeaderList* trailers) {
    if (!trailers) return Error::kNone;
    if (trailer_used_ == trailer_capacity_) {
        const uint32_t line_size = trailer_used_ - trailer_line_;
        const uint32_t capacity = line_size * 2 > kFirstTrailerBytes ? line_size * 2 : kFirstTrailerBytes;
        auto* text = static_cast<char*>(trailers->arena().allocate(capacity, 1));
        if (!text) return Error::kArenaFull;
        if (line_size) std::memcpy(text, trailer_text_ + trailer_line_, line_size);
        trailer_text_ = text;
        trailer_capacity_ = capacity;
        trailer_used_ = line_size;
        trailer_line_ = 0;
    }
    trailer_text_[trailer_used_++] = c;
    return Error::kNone;
}

Error BodyReader::end_trailer_line(HeaderList* trailers) {
    if (!trailers) return Error::kNone;
    const char* const line = trailer_text_ + trailer_line_;
    const char* const value = line + name_bytes_;
    const char* end = trailer_text_ + trailer_used_;
    while (end > value && is_space_or_tab(end[-1])) end--;
    return trailers->add({line, name_bytes_}, {value, static_cast<size_t>(end - value)}) ? Error::kNone : Error::kArenaFull;
}

}  // namespace sluice::http::h1
