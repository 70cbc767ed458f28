// Findings of YAML text, for tests that speak of objects and not of files.
// In: YAML. Out: findings by check(), sorted; `codes` as one line of "CODE field" each.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

namespace sluice::model::test {

inline std::vector<Diagnostic> findings_of(const std::string& text) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("m.yaml", text, out), mesh, out);
    EXPECT_FALSE(has_errors(out)) << render(out, 1);
    check(mesh, true, out);
    sort_by_place(out);
    return out;
}

// "SLC0118 spec.http[1]\n" for each finding of these codes; all but infos that every small example brings when none is given.
inline std::string codes_of(const std::string& text, const std::string& only = "") {
    std::string out;
    for (const Diagnostic& d : findings_of(text))
        if (only.empty() || only.find(d.code) != std::string::npos) out += d.code + " " + d.field + "\n";
    return out;
}

inline std::string object(const std::string& kind, const std::string& name, const std::string& spec, const std::string& ns = "shop") {
    return "---\napiVersion: networking.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: " + ns + "}\nspec:\n" + spec;
}

inline std::string gateway(const std::string& name = "edge", const std::string& hosts = "\"*\"", const std::string& port = "80", const std::string& more = "") {
    return object("Gateway", name, "  selector: {istio: ingressgateway}\n  servers: [{port: {number: " + port + ", name: http, protocol: HTTP}, hosts: [" + hosts + "]" + more + "}]\n");
}

// Routes are given as items of `http`, two spaces in: "  - match: ...".
inline std::string virtual_service(const std::string& name, const std::string& http, const std::string& hosts = "shop.example", const std::string& gateways = "edge") {
    return object("VirtualService", name, "  hosts: [" + hosts + "]\n" + (gateways.empty() ? "" : "  gateways: [" + gateways + "]\n") + "  http:\n" + http);
}

inline std::string service(const std::string& name, const std::string& endpoints = "{address: 10.0.0.1}") {
    return object("ServiceEntry", name, "  hosts: [" + name + ".shop.svc.cluster.local]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC\n  endpoints: [" + endpoints + "]\n");
}

}  // namespace sluice::model::test
