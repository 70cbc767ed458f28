// Requests and tables for the tests of route: a few words each.
// In: authority, path, headers. Out: an http::Request in an arena of its own; tables from short descriptions.
// Owners: TestRequest owns its arena and texts.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "http/message.h"
#include "route/route_table.h"

namespace sluice::route::test {

class TestRequest {
 public:
    TestRequest(std::string authority, std::string path, std::vector<std::pair<std::string, std::string>> headers = {},
                std::string method = "GET")
        : texts_{std::move(authority), std::move(path), std::move(method)} {
        request.authority = texts_[0];
        request.path = texts_[1];
        request.method_text = texts_[2];
        request.method = http::parse_method(texts_[2]);
        request.scheme = "http";
        for (auto& [name, value] : headers) {
            const std::string& n = texts_.emplace_back(std::move(name));
            const std::string& v = texts_.emplace_back(std::move(value));
            EXPECT_TRUE(request.headers.add(n, v));
        }
    }

 private:
    std::deque<std::string> texts_;
    ArenaChunkPool chunks_{16};
    Arena arena_{chunks_};

 public:
    http::Request request{arena_};
};

inline RouteMatch prefix(std::string text) { return {RouteMatch::Path::kPrefix, std::move(text), false, {}, {}}; }
inline RouteMatch exact(std::string text) { return {RouteMatch::Path::kExact, std::move(text), false, {}, {}}; }
inline RouteMatch regex(std::string text) { return {RouteMatch::Path::kRegex, std::move(text), false, {}, {}}; }
inline RouteMatch segment(std::string text) { return {RouteMatch::Path::kSegmentPrefix, std::move(text), false, {}, {}}; }
inline RouteMatch any_case(RouteMatch match) {
    match.ignore_case = true;
    return match;
}
inline StringMatch string_match(StringMatch::Kind kind, std::string text, bool invert = false) {
    StringMatch match;
    match.kind = kind;
    match.text = std::move(text);
    match.invert = invert;
    return match;
}
inline RouteMatch with_header(RouteMatch match, std::string name, StringMatch condition) {
    match.headers.push_back({std::move(name), std::move(condition)});
    return match;
}
inline RouteMatch with_query(RouteMatch match, std::string name, StringMatch condition) {
    match.query.push_back({std::move(name), std::move(condition)});
    return match;
}

/// text + number; "r" + std::to_string(n) trips a false warning of g++ 12.
inline std::string numbered(std::string text, long number) { return text.append(std::to_string(number)); }

/// Routes are named r0, r1... in order.
inline VirtualHostInput host(std::vector<std::string> domains, std::vector<RouteMatch> matches) {
    VirtualHostInput input;
    input.virtual_host.name = domains.empty() ? "none" : domains.front();
    input.virtual_host.domains = std::move(domains);
    for (size_t i = 0; i < matches.size(); i++) input.virtual_host.routes.emplace_back().name = numbered("r", static_cast<long>(i));
    input.matches = std::move(matches);
    return input;
}

struct Built {
    std::shared_ptr<const RouteTable> table;
    std::unique_ptr<Scratch> scratch = std::make_unique<Scratch>();

    Built(std::vector<VirtualHostInput> hosts, bool ignore_port = false) {
        auto built = RouteTable::build("test", std::move(hosts), {}, {}, ignore_port);
        if (!built) {
            ADD_FAILURE() << built.error();
            return;
        }
        table = *built;
        EXPECT_TRUE(table->prepare_scratch(*scratch));
    }
    /// "virtual host/route", "virtual host/-" or "-".
    std::string find(const http::Request& request) const {
        const Found found = table->find(request, *scratch);
        if (!found.virtual_host) return "-";
        return found.virtual_host->name + "/" + (found.route ? found.route->name : "-");
    }
    std::string find(std::string authority, std::string path, std::vector<std::pair<std::string, std::string>> headers = {},
                     std::string method = "GET") const {
        return find(TestRequest(std::move(authority), std::move(path), std::move(headers), std::move(method)).request);
    }
};

}  // namespace sluice::route::test
