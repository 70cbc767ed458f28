// New paths and places: rewrites of a request's path, and the Location of a redirect, as Envoy builds them.
// In: a route and a request. Out: text in the stream's arena; data() is nullptr if it is full. RFC 3986 for the parts of a URI.
#pragma once

#include <string_view>

#include "base/arena.h"
#include "http/message.h"
#include "route/route.h"

namespace sluice::filter {

/// The path (with query) to send upstream; request.path itself if the route rewrites nothing.
[[nodiscard]] std::string_view rewrite_path(const route::Route& route, std::string_view path, Arena& arena);

/// "https://shop.example/new?x=1"
[[nodiscard]] std::string_view redirect_location(const route::Route& route, const http::Request& request, std::string_view scheme,
                                                 Arena& arena);

/// re2's global replace with \0..\9, into the arena.
[[nodiscard]] std::string_view regex_replace(const re2::RE2& regex, std::string_view text, std::string_view substitution,
                                             Arena& arena);

}  // namespace sluice::filter
