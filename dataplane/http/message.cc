// The header list and the rules that hold for it in every HTTP version.
// In: views that outlive the list. Out: the same, by id or by name. The arena owns arrays and joined values.
// RFC 9110 5.2 (joining), 7.6.1 (Connection).
#include "http/message.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/chars.h"

namespace sluice::http {
namespace {

constexpr uint32_t kFirstCapacity = 16;
// What the array may grow to in a common chunk, and in one of the few large ones.
constexpr uint32_t kChunkCapacity = sizeof(ArenaChunk::bytes) / (sizeof(Header));
constexpr uint32_t kLargeCapacity = Arena::max_allocation() / sizeof(Header);

bool same_field(const Header& header, std::string_view name, HeaderId id) {
    return id != HeaderId::kOther ? header.id == id : header.id == HeaderId::kOther && iequals(header.name, name);
}

constexpr bool is_hop_by_hop(HeaderId id) {
    switch (id) {
        case HeaderId::kConnection:
        case HeaderId::kKeepAlive:
        case HeaderId::kProxyConnection:
        case HeaderId::kTransferEncoding:
        case HeaderId::kUpgrade:
            return true;
        default:
            return false;
    }
}

}  // namespace

bool iequals(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    return true;
}

bool HeaderList::reserve(uint32_t capacity) {
    if (capacity <= capacity_) return true;
    if (capacity > kLargeCapacity) return false;
    if (capacity > kChunkCapacity) capacity = kLargeCapacity;   // no second large chunk is ever needed
    Header* items = arena_->make_array<Header>(capacity);
    if (!items) return false;
    if (size_) std::memcpy(static_cast<void*>(items), items_, size_ * sizeof(Header));
    items_ = items;
    capacity_ = capacity;
    return true;
}

bool HeaderList::grow() {
    const uint32_t doubled = capacity_ ? capacity_ * 2 : kFirstCapacity;
    return reserve(capacity_ < kChunkCapacity ? std::min(doubled, kChunkCapacity) : doubled);
}

bool HeaderList::add(std::string_view name, std::string_view value) { return push({name, value, header_id(name)}); }
bool HeaderList::add(HeaderId id, std::string_view value) { return push({name_of(id), value, id}); }

bool HeaderList::set_matching(std::string_view name, HeaderId id, std::string_view value) {
    uint32_t at = 0;
    while (at < size_ && !same_field(items_[at], name, id)) at++;
    if (at == size_) return push({name, value, id});
    items_[at].value = value;
    uint32_t kept = at + 1;
    for (uint32_t i = at + 1; i < size_; i++)
        if (!same_field(items_[i], name, id)) items_[kept++] = items_[i];
    size_ = kept;
    return true;
}

bool HeaderList::set(std::string_view name, std::string_view value) { return set_matching(name, header_id(name), value); }
bool HeaderList::set(HeaderId id, std::string_view value) { return set_matching(name_of(id), id, value); }

void HeaderList::remove_matching(std::string_view name, HeaderId id) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size_; i++)
        if (!same_field(items_[i], name, id)) items_[kept++] = items_[i];
    size_ = kept;
}

void HeaderList::remove(std::string_view name) { remove_matching(name, header_id(name)); }
void HeaderList::remove(HeaderId id) { remove_matching(name_of(id), id); }

const Header* HeaderList::find(HeaderId id) const {
    for (const Header& header : items())
        if (header.id == id) return &header;
    return nullptr;
}

const Header* HeaderList::find(std::string_view name) const {
    const HeaderId id = header_id(name);
    for (const Header& header : items())
        if (same_field(header, name, id)) return &header;
    return nullptr;
}

std::optional<std::string_view> HeaderList::joined(std::string_view name, Arena& arena) const {
    const HeaderId id = header_id(name);
    // RFC 9110 5.3 has a comma; cookies are the exception (RFC 6265 5.4, RFC 9113 8.2.3).
    const std::string_view separator = id == HeaderId::kCookie ? "; " : ",";
    const Header* first = nullptr;
    size_t size = 0, count = 0;
    for (const Header& header : items()) {
        if (!same_field(header, name, id)) continue;
        if (!first) first = &header;
        size += header.value.size() + (count++ ? separator.size() : 0);
    }
    if (!first) return std::nullopt;
    if (count == 1) return first->value;
    auto* text = static_cast<char*>(arena.allocate(std::max<size_t>(size, 1), 1));
    if (!text) return std::string_view();
    char* at = text;
    for (const Header* header = first; header != items_ + size_; header++) {
        if (!same_field(*header, name, id)) continue;
        if (header != first) at = std::copy(separator.begin(), separator.end(), at);
        at = std::copy(header->value.begin(), header->value.end(), at);
    }
    return std::string_view(text, size);
}

bool next_list_element(std::string_view& list, std::string_view& element) {
    while (!list.empty()) {
        const size_t comma = list.find(',');
        element = list.substr(0, comma);
        list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
        while (!element.empty() && is_space_or_tab(element.front())) element.remove_prefix(1);
        while (!element.empty() && is_space_or_tab(element.back())) element.remove_suffix(1);
        if (!element.empty()) return true;
    }
    return false;
}

bool list_has_token(std::string_view list, std::string_view token) {
    std::string_view element;
    while (next_list_element(list, element))
        if (iequals(element, token)) return true;
    return false;
}

void strip_hop_by_hop(HeaderList& headers) {
    std::array<std::string_view, kConnectionOptionsMax> named;
    uint32_t named_count = 0;
    for (const Header& header : headers.items()) {
        if (header.id != HeaderId::kConnection) continue;
        std::string_view list = header.value, name;
        while (named_count < named.size() && next_list_element(list, name))
            // Known end-to-end fields stay whatever Connection says (RFC 9110 7.6.1: a sender must not name them), or a
            // client could have the gateway drop what a proxy before it, or a filter, put there.
            if (header_id(name) == HeaderId::kOther) named[named_count++] = name;
    }
    const auto is_named = [&](const Header& header) {
        return header.id == HeaderId::kOther &&
               std::any_of(named.begin(), named.begin() + named_count, [&](auto name) { return iequals(name, header.name); });
    };
    uint32_t kept = 0;
    for (Header& header : headers.items()) {
        if (is_hop_by_hop(header.id) || is_named(header)) continue;
        if (header.id == HeaderId::kTe) {
            // RFC 9110 10.1.4: only "trailers" means something to the next hop.
            if (!list_has_token(header.value, "trailers")) continue;
            header.value = "trailers";
        }
        headers.items()[kept++] = header;
    }
    headers.truncate(kept);
}

}  // namespace sluice::http
