// Envoy's %FORMAT% operators in header values. In: a value as configured and the stream. Out: text in the stream's arena.
// ctrl/apply asks header_format_supported() and refuses the rest, so that nothing is sent half formatted.
//
//   %%                                        a percent sign
//   %DOWNSTREAM_REMOTE_ADDRESS%               trusted client's address with the port of the connection ("192.0.2.1:4711")
//   %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%  trusted client's address
//   %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%, ..._WITHOUT_PORT%   the immediate peer
//   %DOWNSTREAM_LOCAL_ADDRESS%, ..._WITHOUT_PORT%, %DOWNSTREAM_LOCAL_PORT%   what it connected to
//   %UPSTREAM_REMOTE_ADDRESS%, ..._WITHOUT_PORT%, %UPSTREAM_CLUSTER%         "-" before there is one
//   %PROTOCOL%  %ROUTE_NAME%  %VIRTUAL_HOST_NAME%
//   %START_TIME%                              2026-11-22T23:30:00.123Z
//   %REQ(NAME)%  %REQ(NAME?OTHER)%  %REQ(NAME):N%   a request header, else another, cut after N bytes; "-" if absent
#pragma once

#include <string_view>

#include "filter/filter.h"

namespace sluice::filter {

/// True if every operator in `value` is in the list above and well formed.
bool header_format_supported(std::string_view value);

/// `value` itself if it has no operator, else formatted text in the arena; data() is nullptr if the arena is full.
[[nodiscard]] std::string_view format_header_value(std::string_view value, StreamContext& context);

}  // namespace sluice::filter
