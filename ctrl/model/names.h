// Host names as the Istio API uses them: FQDNs, wildcards, short names, `namespace/host`.
// In: names a user wrote. Out: verdicts and canonical names, lower case.
// Pure functions.
// RFC 1123 (2.1) labels; Istio's Gateway.servers[].hosts and short-name rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::model {

inline constexpr char kDnsDomain[] = "cluster.local";

std::string lower(std::string_view text);

bool is_dns_label(std::string_view text);  // RFC 1123, lower case, at most 63
bool is_dns_name(std::string_view text);   // labels with dots, at most 253, any case

// "*", "*.example.com" or a DNS name. Words say what is wrong.
std::optional<std::string> wrong_host(std::string_view host, bool wildcard_allowed);

bool is_ip_address(std::string_view text);

// reviews -> reviews.shop.svc.cluster.local; anything with a dot or a star stays.
std::string full_host(std::string_view host, std::string_view ns);

// Every name that `narrow` stands for is one that `wide` stands for. Both may be wildcards.
bool covers(std::string_view wide, std::string_view narrow);

// `namespace/host`: namespace is "*" when absent.
struct ScopedHost {
    std::string ns;
    std::string host;
};
ScopedHost split_scope(std::string_view text);

}  // namespace sluice::model
