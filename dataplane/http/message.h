// One message model for all HTTP versions: pseudo-header fields, header list, body framing. All text lies in the stream's
// arena: views live as long as it does. Values are validated (RFC 9110 5.5): no CR, LF or NUL anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "http/header_names.h"

namespace sluice::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kConnect, kOptions, kTrace, kPatch, kOther };
enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

struct Header {
    std::string_view name;   // as received; compare with id or case-insensitively
    std::string_view value;  // without surrounding white space
    HeaderId id = HeaderId::kOther;
};

/// An ordered list with duplicates, in an arena; grows by doubling (old arrays stay in the arena until it ends).
class HeaderList {
 public:
    explicit HeaderList(Arena& arena) : arena_(&arena) {}
    /// False if the arena gives no more. `name` and `value` must outlive the list (copy them into the arena first).
    [[nodiscard]] bool add(std::string_view name, std::string_view value);
    [[nodiscard]] bool add(HeaderId id, std::string_view value);
    /// Replaces the first and drops the others, or adds. Name is matched case-insensitively.
    [[nodiscard]] bool set(std::string_view name, std::string_view value);
    [[nodiscard]] bool set(HeaderId id, std::string_view value);
    void remove(std::string_view name);
    void remove(HeaderId id);
    const Header* find(HeaderId id) const;               // first or nullptr
    const Header* find(std::string_view name) const;     // first or nullptr
    /// All values of one name joined by "," as RFC 9110 5.2 has it; no allocation if there is one. Empty optional: absent.
    /// data() == nullptr: present, but the arena gave out; policy must then refuse, not take it for absent.
    std::optional<std::string_view> joined(std::string_view name, Arena& arena) const;
    std::span<Header> items() { return {items_, size_}; }
    std::span<const Header> items() const { return {items_, size_}; }
    uint32_t size() const { return size_; }
    Arena& arena() const { return *arena_; }
    /// Room for `capacity` fields in all, so that many add() calls need no more memory.
    [[nodiscard]] bool reserve(uint32_t capacity);
    /// A field whose id is known already.
    [[nodiscard]] bool add(const Header& header) { return push(header); }
    /// Keeps the first `size` fields.
    void truncate(uint32_t size) { size_ = size < size_ ? size : size_; }

 private:
    [[nodiscard]] bool push(const Header& header) {
        if (size_ == capacity_ && !grow()) return false;
        items_[size_++] = header;
        return true;
    }
    [[nodiscard]] bool grow();
    [[nodiscard]] bool set_matching(std::string_view name, HeaderId id, std::string_view value);
    void remove_matching(std::string_view name, HeaderId id);
    Arena* arena_;
    Header* items_ = nullptr;
    uint32_t size_ = 0, capacity_ = 0;
};

/// How a message's body is delimited (RFC 9112 6.3; HTTP/2: kLength or kUntilEnd with END_STREAM as the end).
enum class Framing : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct Request {
    explicit Request(Arena& arena) : headers(arena) {}
    Method method = Method::kOther;
    std::string_view method_text;
    std::string_view scheme;      // "http" or "https": of the downstream connection, or of an absolute-form target
    std::string_view authority;   // Host or the absolute-form's authority, as received; validated, may be empty (HTTP/1.0)
    std::string_view path;        // canonical path with query ("/a/b?c"); "*" for OPTIONS *; empty for CONNECT
    std::string_view original_path;  // as received, for logs
    Version version = Version::kHttp11;
    Framing framing = Framing::kNone;
    uint64_t content_length = 0;  // for kLength
    bool keep_alive = true;       // as the peer asked (RFC 9112 9.3)
    bool expect_continue = false;
    bool upgrade = false;         // Connection: upgrade with an Upgrade header
    HeaderList headers;           // Host is not in here, hop-by-hop fields still are until strip_hop_by_hop()
};

struct Response {
    explicit Response(Arena& arena) : headers(arena) {}
    uint16_t status = 0;
    Version version = Version::kHttp11;
    Framing framing = Framing::kNone;
    uint64_t content_length = 0;
    bool keep_alive = true;
    HeaderList headers;
};

Method parse_method(std::string_view text);
std::string_view to_string(Method method);
std::string_view reason_phrase(uint16_t status);
/// Next element of a comma-separated list (RFC 9110 5.6.1), trimmed; empty ones are skipped. False at the end.
bool next_list_element(std::string_view& list, std::string_view& element);
/// True if the list has this element, case-insensitively.
bool list_has_token(std::string_view list, std::string_view token);
/// Options that all Connection fields of one message may hold together; the HTTP/1 reader refuses more.
inline constexpr uint32_t kConnectionOptionsMax = 32;
/// Case-insensitive for ASCII.
bool iequals(std::string_view a, std::string_view b);
/// Removes Connection and the fields it names, Keep-Alive, Proxy-Connection, TE (except "trailers"), Transfer-Encoding, Upgrade
/// (RFC 9110 7.6.1), Content-Length stays. Framing was read from them before.
void strip_hop_by_hop(HeaderList& headers);

}  // namespace sluice::http
