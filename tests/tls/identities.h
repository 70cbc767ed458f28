// URI names that are SPIFFE IDs, and many that only look so (threat 15). Shared by the corpus of verify_test.cc and by identity_corpus.cc,
// which shows the same to a real Envoy. SPIFFE-ID standard 2.
#pragma once

#include <string>
#include <vector>

namespace sluice::test {

struct Identity {
    std::string uri;
    bool as_client, as_server;   // may be
    std::string kind;            // what is strange about it
};

inline const std::vector<std::string>& trust_domains_of_identities() {
    static const std::vector<std::string> all = {"cluster.local", "a", "a-b_c.9", "td1.td2.td3"};
    return all;
}

inline std::vector<Identity> identities() {
    using namespace std::string_literals;
    std::vector<Identity> out;
    for (const std::string& domain : trust_domains_of_identities())
        for (const char* path : {"/ns/shop/sa/web", "/a", "/A/b.c/_-", "/a/b/c/d/e/f", "/...", "/0"}) {
            const std::string good = "spiffe://" + domain + path;
            out.push_back({good, true, true, "a SPIFFE ID"});
            for (const char* tail : {"/", "/.", "/..", "//x"}) out.push_back({good + tail, false, false, "an empty or relative segment"});
            for (const char* tail : {"?x=1", "#x"}) out.push_back({good + tail, false, false, "a query or a fragment"});
            for (const char* tail : {"%20", ":1", "@x", "\\x", "*", "~"}) out.push_back({good + tail, false, false, "a character that paths do not have"});
            out.push_back({"spiffe:/" + domain + path, false, false, "one slash"});
            out.push_back({"https://" + domain + path, false, false, "another scheme"});
            out.push_back({"spiffe://user@" + domain + path, false, false, "a user"});
            out.push_back({"spiffe://" + domain + ":443" + path, false, false, "a port"});
            out.push_back({"spiffe://X" + domain + path, false, false, "a capital in the trust domain"});
        }
    for (const char* domain : {"cluster.local", "a"}) out.push_back({std::string("spiffe://") + domain, false, true, "no path"});
    out.push_back({"spiffe://cluster.local/a\0b"s, false, false, "a NUL"});
    out.push_back({"spiffe://cluster.local\0.evil/a"s, false, false, "a NUL"});
    return out;
}

}  // namespace sluice::test
