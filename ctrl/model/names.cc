// Host names: verdicts, canonical forms, wildcards.
// In: text. Out: text or words about it.
// Pure functions.
// RFC 1123 (2.1), RFC 1035 (2.3.4) for the lengths; Istio's host rules.
#include "ctrl/model/names.h"

#include <arpa/inet.h>

#include <algorithm>

namespace sluice::model {
namespace {

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// RFC 1123 label in any case. Underscores are not in it, but are in real names (RFC 2181, 11).
bool is_label(std::string_view text) {
    if (text.empty() || text.size() > 63) return false;
    if (!is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) return false;
    return std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
}

}  // namespace

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return out;
}

bool is_dns_label(std::string_view text) {
    return is_label(text) && std::none_of(text.begin(), text.end(),
                                          [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
}

bool is_dns_name(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    while (true) {
        const size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

std::optional<std::string> wrong_host(std::string_view host, bool wildcard_allowed) {
    if (host.empty()) return "a host cannot be empty";
    if (host.find("://") != std::string_view::npos || host.find('/') != std::string_view::npos)
        return "a host is a name, not a URL";
    if (host.starts_with('*')) {
        if (!wildcard_allowed) return "a wildcard cannot stand here";
        if (host == "*") return std::nullopt;
        if (!host.starts_with("*.")) return "a wildcard is `*` or `*.` and a domain";
        if (!is_dns_name(host.substr(2))) return "what follows `*.` is not a domain";
        return std::nullopt;
    }
    if (host.find('*') != std::string_view::npos) return "a wildcard can only stand in front: `*.example.com`";
    if (host.ends_with('.')) return "leave out the final dot";
    if (is_ip_address(host) || is_dns_name(host)) return std::nullopt;
    if (host.find(':') != std::string_view::npos) return "a host has no port";
    return "not a DNS name";
}

bool is_ip_address(std::string_view text) {
    unsigned char bytes[16];
    const std::string copy(text);
    return inet_pton(AF_INET, copy.c_str(), bytes) == 1 || inet_pton(AF_INET6, copy.c_str(), bytes) == 1;
}

std::string full_host(std::string_view host, std::string_view ns) {
    std::string name = lower(host);
    if (name.find('.') != std::string::npos || name.find('*') != std::string::npos) return name;
    if (is_ip_address(name)) return name;
    return name + "." + std::string(ns) + ".svc." + kDnsDomain;
}

bool covers(std::string_view wide, std::string_view narrow) {
    if (wide == "*") return true;
    if (!wide.starts_with("*.")) return wide == narrow;
    if (narrow == "*") return false;
    // *.example.com stands for a.example.com and *.a.example.com, not for example.com.
    const std::string_view suffix = wide.substr(1);
    if (narrow.starts_with('*')) narrow.remove_prefix(1);
    else if (narrow.size() == suffix.size()) return false;
    return narrow.ends_with(suffix);
}

ScopedHost split_scope(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return {"*", std::string(text)};
    return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

}  // namespace sluice::model
