// Header changes, and texts that become part of a head.
// In: HeaderValueOption lists and rewrite texts. Out: HeaderOps; refusals of what would make a malformed or a misframed message.
// RFC 9110 5.1 (names), 5.5 (values); framing fields are the proxy's alone (RFC 9112 6).
#include <algorithm>
#include <array>

#include "ctrl/apply/readers.h"
#include "filter/header_format.h"

namespace sluice::apply {
namespace {

using envoy::config::core::v3::HeaderValueOption;

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
    });
}

bool read_name(const std::string& in, std::string& out, const At& at) {
    if (!is_token(in)) return at.refuse("\"" + in + "\" is not a header name that may be changed");
    out = in;
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c); });
    static constexpr std::array<std::string_view, 9> kFixed = {"host", "content-length", "transfer-encoding", "connection", "upgrade",
                                                               "te", "keep-alive", "proxy-connection", "trailer"};
    if (out == "host") return at.refuse("host is not changed as a header: use host_rewrite_literal");
    if (std::find(kFixed.begin(), kFixed.end(), out) != kFixed.end()) return at.refuse(out + " is the connection's own and may not be changed");
    return true;
}

bool read_append(HeaderValueOption::HeaderAppendAction in, route::HeaderOps::Append& out) {
    using Append = route::HeaderOps::Append;
    switch (in) {
        case HeaderValueOption::APPEND_IF_EXISTS_OR_ADD: out = Append::kAppendIfExistsOrAdd; return true;
        case HeaderValueOption::ADD_IF_ABSENT: out = Append::kAddIfAbsent; return true;
        case HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD: out = Append::kOverwriteIfExistsOrAdd; return true;
        case HeaderValueOption::OVERWRITE_IF_EXISTS: out = Append::kOverwriteIfExists; return true;
        default: return false;
    }
}

}  // namespace

bool read_header_ops(const HeaderOptions& add, const HeaderNames& remove, route::HeaderOps& out, const At& at,
                     std::string_view add_field, std::string_view remove_field) {
    bool good = true;
    for (int i = 0; i < add.size(); i++) {
        const At here = at.child(add_field, i);
        route::HeaderOps::Add& one = out.add.emplace_back();
        good &= read_name(add[i].header().key(), one.name, here.child("header.key"));
        one.value = add[i].header().value();
        const bool printable = std::none_of(one.value.begin(), one.value.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
        if (!printable) good = here.child("header.value").refuse("holds a control character");
        if (!filter::header_format_supported(one.value)) {
            good = here.child("header.value").refuse("\"" + one.value + "\" uses a %FORMAT% operator that is not supported (a percent sign is written %%)");
        }
        if (!read_append(add[i].append_action(), one.append)) good = here.child("append_action").refuse("an unknown value");
    }
    for (int i = 0; i < remove.size(); i++) good &= read_name(remove[i], out.remove.emplace_back(), at.child(remove_field, i));
    return good;
}

bool read_uri_text(const std::string& in, std::string& out, const At& at) {
    if (!std::all_of(in.begin(), in.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; })) {
        return at.refuse("\"" + in + "\" holds a space or a byte that is not ASCII: percent-encode it");
    }
    out = in;
    return true;
}

}  // namespace sluice::apply
