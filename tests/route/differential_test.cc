// Random tables and requests: the compiled table must answer as the plain walk of reference.cc does.
// Texts are drawn from a tiny alphabet so that prefixes nest, values collide and regexes overlap. The seed is printed first.
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/route/reference.h"
#include "tests/route/support.h"

namespace sluice::route::test {
namespace {

using Kind = StringMatch::Kind;

class Generator {
 public:
    explicit Generator(uint64_t seed) : random_(seed) {}
    size_t below(size_t n) { return random_() % n; }
    bool one_in(size_t n) { return below(n) == 0; }

    std::string text(size_t longest, const char* alphabet = "ab/A") {
        std::string out;
        for (size_t n = below(longest + 1); n > 0; n--) out += alphabet[below(std::strlen(alphabet))];
        return out;
    }
    std::string path() {
        std::string out = "/" + text(one_in(10) ? 30 : 6);
        if (one_in(30)) out += "\xc3\xa9";
        return out;
    }
    std::string regex() {
        static const char* const kAtoms[] = {"a", "b", "/", ".", "[ab]", "[^a]", "\\w", "\\d", "(a|b)", "(?:ab|/a)", "(?i)a", "\\.", "A", "^", "$", "\\b", "\\pL", "[[:alpha:]]"};
        static const char* const kRepeats[] = {"", "", "", "*", "+", "?", "{2}", "{1,3}", "*?", ".*"};
        std::string out = one_in(3) ? "/" : "";
        for (size_t n = below(5); n > 0; n--) {
            const std::string atom = kAtoms[below(std::size(kAtoms))];
            out += atom;
            if (atom != "^" && atom != "$" && atom != "\\b" && atom != "(?i)a") out += kRepeats[below(std::size(kRepeats))];
        }
        if (one_in(4)) out += "|" + text(3);
        return out;
    }
    StringMatch string_match() {
        StringMatch match;
        match.kind = static_cast<Kind>(below(6));
        match.text = match.kind == Kind::kRegex ? regex() : text(3);
        match.ignore_case = one_in(4);
        match.invert = one_in(4);
        match.missing_as_empty = one_in(5);
        return match;
    }
    RouteMatch match() {
        RouteMatch match;
        match.path = static_cast<RouteMatch::Path>(below(4));
        match.path_text = match.path == RouteMatch::Path::kRegex ? regex() : path();
        if (match.path == RouteMatch::Path::kPrefix && one_in(8)) match.path_text = one_in(2) ? "" : "/";
        match.ignore_case = match.path != RouteMatch::Path::kRegex && one_in(3);
        if (one_in(2)) return match;
        static const char* const kNames[] = {"x", "Y", "x-long-name", ":method", ":authority", "host"};
        for (size_t n = below(3); n > 0; n--) match.headers.push_back({kNames[below(std::size(kNames))], string_match()});
        if (one_in(3)) match.query.push_back({one_in(2) ? "q" : "r", string_match()});
        return match;
    }
    /// Many routes on one path, told apart by an equality: what the candidate index is for.
    void add_crowd(std::vector<RouteMatch>& matches) {
        const std::string shared = path();
        for (size_t n = below(60); n > 0; n--) {
            RouteMatch crowded = match();
            crowded.path = RouteMatch::Path::kPrefix;
            crowded.path_text = shared;
            crowded.headers.push_back({one_in(2) ? "x" : "y", test::string_match(Kind::kExact, text(3))});
            matches.push_back(crowded);
        }
    }
    std::vector<VirtualHostInput> hosts() {
        static const char* const kDomains[] = {"*", "a.example", "*.example", "*.a.example", "A.B.example", "a.*", "a.b.*", "*-x.example", "a.example:80", "[::1]", "b"};
        std::vector<VirtualHostInput> inputs;
        for (const char* domain : kDomains) {
            if (one_in(3)) continue;
            std::vector<RouteMatch> matches;
            for (size_t n = one_in(4) ? below(150) : below(20); n > 0; n--) matches.push_back(match());
            if (one_in(2)) add_crowd(matches);
            inputs.push_back(host({domain}, matches));
        }
        return inputs;
    }
    std::string authority() {
        static const char* const kAuthorities[] = {"a.example", "A.Example:80", "x.a.example", "a.b.example", "a.b.c", "a.zz:8080", "q-x.example", ".example", "[::1]", "[::1]:80", "b", "b.", "", "zz", "a."};
        return kAuthorities[below(std::size(kAuthorities))];
    }
    /// A path near one that a route names.
    std::string request_path(const std::vector<VirtualHostInput>& inputs) {
        std::string out = path();
        if (!inputs.empty() && !one_in(3)) {
            const auto& matches = inputs[below(inputs.size())].matches;
            if (!matches.empty()) {
                const RouteMatch& near = matches[below(matches.size())];
                if (near.path != RouteMatch::Path::kRegex) out = near.path_text + (one_in(2) ? text(3) : "");
            }
        }
        if (one_in(3)) out += "?" + text(12, "qr=&ab");
        return out;
    }
    std::vector<std::pair<std::string, std::string>> headers() {
        static const char* const kNames[] = {"x", "X", "y", "X-Long-Name", "other"};
        std::vector<std::pair<std::string, std::string>> out;
        for (size_t n = below(5); n > 0; n--) out.emplace_back(kNames[below(std::size(kNames))], text(3) + (one_in(20) ? "\xe9" : ""));
        return out;
    }

 private:
    std::mt19937_64 random_;
};

std::string show(const RouteMatch& match) { return describe(match); }

TEST(RouteDifferential, AnswersAsThePlainWalk) {
    const char* given = std::getenv("SLUICE_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "SEED=" << seed << "; repeat: SLUICE_SEED=" << seed
              << " build/tests/route/route_test --gtest_filter=RouteDifferential.*\n";
    Generator generator(seed);
    size_t found = 0;
    for (int round = 0; round < 60; round++) {
        const auto inputs = generator.hosts();
        const bool ignore_port = generator.one_in(2);
        const Built built(inputs, ignore_port);
        ASSERT_TRUE(built.table);
        for (int i = 0; i < 300; i++) {
            const TestRequest request(generator.authority(), generator.request_path(inputs), generator.headers(),
                                      generator.one_in(2) ? "GET" : "POST");
            const auto [host, route] = reference_find(inputs, request.request, ignore_port);
            const std::string expected =
                host < 0 ? "-" : inputs[static_cast<size_t>(host)].virtual_host.name + "/" + (route < 0 ? "-" : numbered("r", route));
            found += route >= 0;
            ASSERT_EQ(built.find(request.request), expected)
                << "round " << round << " authority " << request.request.authority << " path " << request.request.path << "\nexpected route: "
                << (route >= 0 ? show(inputs[static_cast<size_t>(host)].matches[static_cast<size_t>(route)]) : "none");
        }
    }
    EXPECT_GT(found, 2000u) << "the generator no longer makes requests that match";
}

}  // namespace
}  // namespace sluice::route::test
