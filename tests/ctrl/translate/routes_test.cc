// One HTTPRoute in, the Envoy routes it becomes out: a table.
// In: flow-style YAML of `http`. Out: JSON of the routes, without metadata.
// Shapes are those of a recorded istiod, less what this version leaves out (docs/istio.md).
// Envoy v3 Route.
#include "tests/ctrl/translate/mesh.h"

namespace sluice::translate {
namespace {

struct Case {
    const char* name;
    const char* http;
    std::vector<const char*> routes;
};

const Case kCases[] = {
    {"PlainDestination",
     "[{route: [{destination: {host: reviews}}]}]",
     {R"({"match": {"prefix": "/"}, "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local", "timeout": "0s"}})"}},
    {"Prefix",
     "[{match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]",
     {R"({"match": {"prefix": "/a", "case_sensitive": true},
          "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local", "timeout": "0s"}})"}},
    {"ExactIgnoringCase",
     "[{match: [{uri: {exact: /a}, ignoreUriCase: true}], directResponse: {status: 200}}]",
     {R"({"match": {"path": "/a", "case_sensitive": false}, "direct_response": {"status": 200}})"}},
    {"Regex",
     "[{match: [{uri: {regex: '/a/[0-9]+'}}], directResponse: {status: 200}}]",
     {R"({"match": {"safe_regex": {"regex": "/a/[0-9]+"}, "case_sensitive": true}, "direct_response": {"status": 200}})"}},
    {"HeadersSortedThenMethodAndAuthority",
     "[{match: [{headers: {X-User: {regex: '^(a|b)$'}, x-canary: {exact: always}, x-any: {}, x-star: {regex: '*'}, "
     "x-pre: {prefix: p}}, "
     "withoutHeaders: {x-block: {}, x-not: {exact: n}}, method: {exact: GET}, authority: {prefix: shop}}], "
     "directResponse: {status: 200}}]",
     {R"({"match": {"prefix": "/", "case_sensitive": true, "headers": [
          {"name": "x-any", "present_match": true},
          {"name": "x-block", "present_match": true, "invert_match": true},
          {"name": "x-canary", "string_match": {"exact": "always"}},
          {"name": "x-not", "string_match": {"exact": "n"}, "invert_match": true},
          {"name": "x-pre", "string_match": {"prefix": "p"}},
          {"name": "x-star", "present_match": true},
          {"name": "x-user", "string_match": {"safe_regex": {"regex": "^(a|b)$"}}},
          {"name": ":method", "string_match": {"exact": "GET"}},
          {"name": ":authority", "string_match": {"prefix": "shop"}}]}, "direct_response": {"status": 200}})"}},
    {"QueryParams",
     "[{match: [{queryParams: {debug: {exact: '1'}, any: {}, re: {regex: a+}}}], directResponse: {status: 200}}]",
     {R"({"match": {"prefix": "/", "case_sensitive": true, "query_parameters": [
          {"name": "any", "present_match": true},
          {"name": "debug", "string_match": {"exact": "1"}},
          {"name": "re", "string_match": {"safe_regex": {"regex": "a+"}}}]}, "direct_response": {"status": 200}})"}},
    {"OneRouteForEachMatch",
     "[{name: r, match: [{name: one, uri: {exact: /1}}, {uri: {exact: /2}}], directResponse: {status: 200}}]",
     {R"({"name": "r.one", "match": {"path": "/1", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"name": "r", "match": {"path": "/2", "case_sensitive": true}, "direct_response": {"status": 200}})"}},
    {"Weights",
     "[{route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, "
     "weight: 10, "
     "headers: {response: {set: {x-w: v2}}, request: {remove: [X-Secret]}}}, {destination: {host: reviews}, weight: "
     "0}], timeout: 1.5s}]",
     {R"({"match": {"prefix": "/"}, "route": {"timeout": "1.500s", "weighted_clusters": {"clusters": [
          {"name": "outbound|9080|v1|reviews.shop.svc.cluster.local", "weight": 90},
          {"name": "outbound|9080|v2|reviews.shop.svc.cluster.local", "weight": 10, "request_headers_to_remove": ["x-secret"],
           "response_headers_to_add": [{"header": {"key": "x-w", "value": "v2"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}]}}})"}},
    {"PortOfTheDestination",
     "[{route: [{destination: {host: ratings.shop.svc.cluster.local, port: {number: 9081}}}]}]",
     {R"({"match": {"prefix": "/"}, "route": {"cluster": "outbound|9081||ratings.shop.svc.cluster.local", "timeout": "0s"}})"}},
    {"Headers",
     "[{headers: {request: {set: {x-lab: '1'}, add: {x-b: b, X-A: a}, remove: [X-Secret]}, response: {set: {x-r: r}, "
     "add: {x-s: s}, remove: [server]}}, "
     "route: [{destination: {host: reviews}, headers: {request: {set: {x-d: d}}}}]}]",
     {R"({"match": {"prefix": "/"}, "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local", "timeout": "0s"},
          "request_headers_to_add": [
            {"header": {"key": "x-lab", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
            {"header": {"key": "x-a", "value": "a"}}, {"header": {"key": "x-b", "value": "b"}},
            {"header": {"key": "x-d", "value": "d"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
          "request_headers_to_remove": ["x-secret"],
          "response_headers_to_add": [
            {"header": {"key": "x-r", "value": "r"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
            {"header": {"key": "x-s", "value": "s"}}],
          "response_headers_to_remove": ["server"]})"}},
    {"HostByHeader",
     "[{headers: {request: {set: {Host: a.example}}}, route: [{destination: {host: reviews}}]}]",
     {R"({"match": {"prefix": "/"}, "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local", "timeout": "0s",
          "host_rewrite_literal": "a.example"}})"}},
    {"Rewrite",
     "[{match: [{uri: {prefix: /old/}}], rewrite: {uri: /new/, authority: 'b.example:8080'}, route: [{destination: "
     "{host: reviews}}]}]",
     {R"({"match": {"prefix": "/old/", "case_sensitive": true}, "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local",
          "timeout": "0s", "prefix_rewrite": "/new/", "host_rewrite_literal": "b.example:8080"}})"}},
    {"RegexRewrite",
     "[{rewrite: {uriRegexRewrite: {match: '/i/([0-9]+)$', rewrite: '/d/\\1'}}, route: [{destination: {host: "
     "reviews}}]}]",
     {R"({"match": {"prefix": "/"}, "route": {"cluster": "outbound|9080||reviews.shop.svc.cluster.local", "timeout": "0s",
          "regex_rewrite": {"pattern": {"regex": "/i/([0-9]+)$"}, "substitution": "/d/\\1"}}})"}},
    {"Redirect",
     "[{redirect: {uri: /gone, authority: o.example, port: 8443, scheme: https, redirectCode: 308}}]",
     {R"({"match": {"prefix": "/"}, "redirect": {"host_redirect": "o.example", "path_redirect": "/gone", "port_redirect": 8443,
          "response_code": "PERMANENT_REDIRECT", "scheme_redirect": "https"}})"}},
    {"RedirectByDefault",
     "[{redirect: {uri: /gone}}]",
     {R"({"match": {"prefix": "/"}, "redirect": {"path_redirect": "/gone"}})"}},
    {"RedirectToTheRequestsPort",
     "[{redirect: {authority: o.example, derivePort: FROM_REQUEST_PORT, redirectCode: 302}}]",
     {R"({"match": {"prefix": "/"}, "redirect": {"host_redirect": "o.example", "port_redirect": 80, "response_code": "FOUND"}})"}},
    {"RedirectToTheProtocolsPort",
     "[{redirect: {scheme: https, derivePort: FROM_PROTOCOL_DEFAULT, redirectCode: 307}}]",
     {R"({"match": {"prefix": "/"}, "redirect": {"scheme_redirect": "https", "response_code": "TEMPORARY_REDIRECT"}})"}},
    {"DirectResponse",
     "[{directResponse: {status: 418, body: {string: teapot}}, headers: {response: {set: {x-direct: '1'}}}}]",
     {R"({"match": {"prefix": "/"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}},
          "response_headers_to_add": [{"header": {"key": "x-direct", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]})"}},
    {"DirectResponseOfBytes",
     "[{directResponse: {status: 503, body: {bytes: AAEC}}}]",
     {R"({"match": {"prefix": "/"}, "direct_response": {"status": 503, "body": {"inline_bytes": "AAEC"}}})"}},
    {"MatchesOnWhereItArrives",
     "[{match: [{port: 80, uri: {exact: /in}}, {port: 81, uri: {exact: /out}}, {gateways: [edge], uri: {exact: /g}}, "
     "{gateways: [mesh], uri: {exact: /m}}, "
     "{sourceLabels: {istio: ingressgateway}, uri: {exact: /l}}, {sourceLabels: {a: b}, uri: {exact: /x}}, "
     "{sourceNamespace: istio-system, uri: {exact: /n}}, {sourceNamespace: shop, uri: {exact: /y}}], directResponse: "
     "{status: 200}}, "
     "{match: [{port: 81}], directResponse: {status: 201}}]",
     {R"({"match": {"path": "/in", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"match": {"path": "/g", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"match": {"path": "/l", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"match": {"path": "/n", "case_sensitive": true}, "direct_response": {"status": 200}})"}},
    {"MatchesOnTheSchemeThatIsAlwaysHttp",
     "[{match: [{scheme: {exact: http}, uri: {exact: /e}}, {scheme: {exact: https}, uri: {exact: /s}}, "
     "{scheme: {prefix: htt}, uri: {exact: /p}}, {scheme: {regex: 'https?'}, uri: {exact: /r}}, "
     "{scheme: {regex: htt}, uri: {exact: /h}}], directResponse: {status: 200}}]",
     {R"({"match": {"path": "/e", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"match": {"path": "/p", "case_sensitive": true}, "direct_response": {"status": 200}})",
      R"({"match": {"path": "/r", "case_sensitive": true}, "direct_response": {"status": 200}})"}},
    {"RetriesTurnedOffAndNamesOfStatistics",
     "[{match: [{uri: {exact: /e}, statPrefix: e}], retries: {attempts: 0, perTryTimeout: 2s, retryOn: 5xx}, "
     "directResponse: {status: 200}}]",
     {R"({"match": {"path": "/e", "case_sensitive": true}, "direct_response": {"status": 200}})"}},
};

class Routes : public testing::TestWithParam<Case> {};

TEST_P(Routes, AreAsIstiodWritesThem) {
    const xds::ResourceSet set = translated(kBase + virtual_service(GetParam().http));
    ASSERT_TRUE(set.routes.contains("http.80"));
    const auto& config = *set.routes.at("http.80");
    ASSERT_EQ(config.virtual_hosts_size(), 1);
    const auto& routes = config.virtual_hosts(0).routes();
    ASSERT_EQ(static_cast<size_t>(routes.size()), GetParam().routes.size()) << config.DebugString();
    for (int i = 0; i < routes.size(); ++i) EXPECT_TRUE(is_json(routes[i], GetParam().routes[static_cast<size_t>(i)]));
}

INSTANTIATE_TEST_SUITE_P(Translate, Routes, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sluice::translate
