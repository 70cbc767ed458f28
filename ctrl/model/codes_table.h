// The table behind codes.h. Sorted by code. Included by codes.cc alone.
// Examples of kMesh are read beside tests/ctrl/model/base.yaml (Gateway shop/edge, services reviews and ratings of namespace
// shop), those of kGatewayFile as a whole file: a test checks that each brings its own code.
// In: nothing. Out: constants.
#pragma once

#include "ctrl/model/codes.h"

namespace sluice {

inline constexpr Code kCodes[] = {
    {"SLC0001", Severity::kError, "the gateway's file cannot be read",
     "The file that --config names does not exist, is a directory, or may not be read. The gateway does not start.",
     Code::Example::kProse, "sluiced --config /etc/sluice/sluice.yml     # the file is called sluice.yaml\n",
     "Name the gateway's own file, and let the gateway's user read it; configs/demo/sluice.yaml is one to start from."},
    {"SLC0002", Severity::kError, "not a gateway's own file",
     "It is empty, of another kind or version, or a mesh file passed by mistake.", Code::Example::kGatewayFile,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\n",
     "Begin the file with `apiVersion: sluice/v1` and `kind: GatewayHost`; mesh files belong into mesh.directory."},
    {"SLC0003", Severity::kError, "unknown field",
     "The field is none of the gateway's file. Nothing is ignored silently, since a misspelt limit would be no limit.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: outside, device: 'af_xdp:eth1', adresses: [192.0.2.10/24], listen: true}\n",
     "Correct the name; docs/gateway_file.md and the JSON schema list all fields."},
    {"SLC0004", Severity::kError, "known, but not supported in this version", "The field is planned. A gateway without it would behave otherwise than the file says.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nidentity: {certificate: tls.crt}\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10/24], listen: true}\n",
     "Remove it."},
    {"SLC0005", Severity::kError, "a value of the wrong type", "A list where a map is wanted, text where a number is wanted, and the like.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nlimits: {connections: \"200000\"}\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10/24], listen: true}\n",
     "Write a value of the type that the message names; numbers stand without quotes."},
    {"SLC0006", Severity::kError, "a wrong value", "Out of range, not an address, not a duration or size with its unit, or a word that the field does not know.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10], listen: true}\n",
     "Write a value within the range, or one of the words, that the message names."},
    {"SLC0007", Severity::kError, "a required field is missing", "Without it the gateway would not know what to do.", Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: outside, addresses: [192.0.2.10/24], listen: true}\n", "Add the field."},
    {"SLC0008", Severity::kError, "a contradiction", "Two fields exclude each other, or two ports have the same name, device or address.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nworkers: {cores: [2, 3], count: 2}\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10/24], listen: true}\n",
     "Keep one of the two."},
    {"SLC0009", Severity::kError, "a second document", "One file describes one machine.", Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10/24], listen: true}\n---\nkind: Gateway\n",
     "Remove it; mesh files belong into mesh.directory."},
    {"SLC0010", Severity::kWarning, "no port listens", "Gateways without `bind` open on the ports marked `listen`, and there is none: they open nowhere.",
     Code::Example::kGatewayFile,
     "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: outside, device: 'af_xdp:eth1', addresses: [192.0.2.10/24]}\n",
     "Add `listen: true` to the port that clients reach."},
    {"SLC0011", Severity::kWarning, "source ports overlap the kernel's",
     "A port with an `exception` shares its addresses with the kernel, so both must use different source ports. Told by --check and "
     "analyze for the machine they run on; where it is the gateway's machine, the gateway will not start.",
     Code::Example::kProse, "limits: {ephemeralPorts: 40000-49999}     # and net.ipv4.ip_local_port_range is 32768 60999\n",
     "Write another limits.ephemeralPorts, or move the kernel's range as the message says."},
    {"SLC0012", Severity::kInfo, "not on this machine",
     "The file names an interface, a PCI device or a CPU that the machine where --check or analyze runs does not have. Right if the file is for another machine.",
     Code::Example::kProse, "workers: {cores: [64]}     # a machine with 16 CPUs\n",
     "`ip link`, `lspci -D` and `lscpu` list what there is."},
    {"SLC0013", Severity::kError, "the gateway cannot start with this", "What the file asks for was tried on this machine and failed.",
     Code::Example::kProse, "ports:\n- {name: outside, device: 'af_xdp:eth9', ...}     # there is no eth9\n", "Do what the message says, then start the gateway again."},

    {"SLC0101", Severity::kError, "not YAML", "The file is not YAML, not UTF-8, or uses a tag. Nothing of it after the place is read.",
     Code::Example::kMesh, "apiVersion: networking.istio.io/v1\nkind: Gateway\nspec:\n\tservers: []\n",
     "Indent with spaces, close quotes and brackets, and save the file as UTF-8."},
    {"SLC0102", Severity::kError, "not an object that this gateway reads",
     "No `kind`, or a kind or version of the mesh that this version does not do. Leaving such an object out could open what it was "
     "written to close, so the revision is refused. Kinds that are not about the mesh are passed over instead: SLC0122.",
     Code::Example::kMesh,
     "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {}\n",
     "Write one of Gateway, VirtualService, DestinationRule, ServiceEntry or WorkloadEntry, or keep the object out of the mesh directory."},
    {"SLC0103", Severity::kError, "a value of the wrong kind or out of range", "The field takes another type, or other values.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - match: [{headers: {x-user: {exact: 7}}}]\n    route: [{destination: {host: ratings}}]\n",
     "Write a value as the message says; text that looks like a number is quoted, a number is not."},
    {"SLC0104", Severity::kError, "unknown field", "The API has no such field here. Istio's API server would refuse it too.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: ratings}, wieght: 50}]\n",
     "Correct the name, or its indentation: docs/istio.md lists the fields of each message."},
    {"SLC0105", Severity::kError, "known, but not supported in this version", "Istio has the field or value, and this gateway does not do what it asks for yet.",
     Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: shop}\nspec:\n  servers: [{port: {number: 443, protocol: HTTPS}, hosts: [shop.example]}]\n",
     "Remove it, or write what the message proposes."},
    {"SLC0106", Severity::kError, "something required is missing", "The object says nothing without it.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  gateways: [edge]\n  http: [{directResponse: {status: 200}}]\n",
     "Add the field."},
    {"SLC0107", Severity::kError, "a bad name, or one given twice", "Names are lower-case DNS names, and an object, subset or port has a name of its own.",
     Code::Example::kMesh, "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec:\n  host: ratings\n"
     "  subsets: [{name: v1}, {name: v1}]\n", "Rename or remove one."},
    {"SLC0108", Severity::kError, "unknown host", "The route sends requests to a host that no ServiceEntry defines, or not for this gateway's namespace.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: rewiews}}]\n",
     "Correct the name or add a ServiceEntry; a name without a dot is completed with the VirtualService's own namespace."},
    {"SLC0109", Severity::kError, "unknown subset", "No DestinationRule that applies to the host defines the subset.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: reviews, subset: v9, port: {number: 9080}}}]\n",
     "Correct the name, or add the subset to the host's DestinationRule."},
    {"SLC0110", Severity::kError, "unknown Gateway", "The VirtualService is bound to a Gateway that no file defines.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [egde]\n  http: [{directResponse: {status: 200}}]\n",
     "Correct the name; a Gateway of another namespace is written namespace/name."},
    {"SLC0111", Severity::kError, "weights that choose nothing", "A weight is negative, all are 0, or their sum does not fit 32 bits.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: ratings}, weight: 0}, {destination: {host: ratings}, weight: 0}]\n",
     "Give each destination its share as a `weight`."},
    {"SLC0112", Severity::kError, "not a regex that RE2 takes", "Regexes are RE2's: without look-around and back references, matched against the whole text. The caret is under the part that is wrong.",
     Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - match: [{uri: {regex: '/api/(v1|v2'}}]\n    route: [{destination: {host: ratings}}]\n",
     "Correct the part under the caret; the syntax is that of https://github.com/google/re2/wiki/Syntax."},
    {"SLC0113", Severity::kError, "not a duration", "Durations carry their unit, as Go writes them.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - timeout: 5\n    route: [{destination: {host: ratings}}]\n",
     "Write it like 1.5s, 100ms or 1h30m."},
    {"SLC0114", Severity::kError, "not a host", "A host is a DNS name, or `*` and `*.domain` where wildcards are allowed; no URL, no port.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [\"shop.example:8080\"]\n  gateways: [edge]\n  http: [{directResponse: {status: 200}}]\n",
     "Write the name alone."},
    {"SLC0115", Severity::kError, "a port that is none, or that the service has not", "Ports are 1 to 65535; a destination's is one of the service's, and must be named where it has several.",
     Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: reviews, port: {number: 80}}}]\n",
     "Write one of the service's ports."},
    {"SLC0116", Severity::kError, "two things that exclude each other", "Both cannot be done, and which one was meant is not for the gateway to guess.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - redirect: {uri: /new}\n    directResponse: {status: 200}\n",
     "Keep one."},
    {"SLC0117", Severity::kError, "not an IP address, or not one of this gateway's", "Endpoints are addresses, since names are not resolved in this version; `bind` is an address of a port marked `listen`.",
     Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a, namespace: shop}\nspec: {address: reviews-1.example.com}\n",
     "Write the address."},
    {"SLC0118", Severity::kWarning, "a route that is never reached", "Routes are tried in order, and earlier ones take every request that this one would.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - match: [{uri: {prefix: /api}}]\n    route: [{destination: {host: ratings}}]\n"
     "  - match: [{uri: {prefix: /api/v2}}]\n    directResponse: {status: 200}\n",
     "Move the narrower route before the wider one, or remove it."},
    {"SLC0119", Severity::kError, "a cap", "Size, depth, number of values, or aliases within aliases: a file beyond these is refused before it costs memory.", Code::Example::kProse,
     "a: &a [x, x]\nb: &b [*a, *a]     # and so on: each line doubles what the one above stands for\n",
     "Split the file, or write the values out."},
    {"SLC0120", Severity::kError, "a file or the directory cannot be read", "Nothing is known of what it holds, so the revision is refused: a gateway must not lose routes because a file could not be read.",
     Code::Example::kProse, "chmod 000 mesh/reviews.yaml\n", "Let the gateway's user read it, or take it out of the directory."},
    {"SLC0121", Severity::kError, "a key is given twice", "Some readers take the first of the two and some the last.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: shop}\nspec:\n  servers: [{port: {number: 80, number: 81, protocol: HTTP}, hosts: [shop.example]}]\n",
     "Remove one."},
    {"SLC0122", Severity::kInfo, "a kind that is passed over", "The object is not about traffic through this gateway (a Deployment, a ServiceAccount), or says what is said here otherwise: a Service's host is known "
     "to the gateway by a ServiceEntry. It stands in Istio's samples beside objects that are read, so it does no harm.", Code::Example::kMesh,
     "apiVersion: v1\nkind: Service\nmetadata: {name: details, namespace: shop}\nspec: {ports: [{port: 9080, name: http}]}\n",
     "Nothing needs to be done; for a Service, write a ServiceEntry with resolution: STATIC."},
    {"SLC0123", Severity::kWarning, "a DestinationRule of no service", "No ServiceEntry defines the host, so the rule applies to nothing.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: rewiews}\n",
     "Correct the host, or remove the rule."},
    {"SLC0124", Severity::kInfo, "a match that is never used", "The route is reached by its other matches; an earlier route takes what this one would.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - match: [{uri: {prefix: /api}}]\n    route: [{destination: {host: ratings}}]\n"
     "  - match: [{uri: {exact: /api/ping}}, {uri: {exact: /ping}}]\n    directResponse: {status: 200}\n",
     "Remove the match, or move the route up."},
    {"SLC0125", Severity::kWarning, "a host that no server takes", "No server of the VirtualService's Gateways has the host, so requests for it do not come here.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [other.example]\n  gateways: [edge]\n  http: [{directResponse: {status: 200}}]\n",
     "Add the host to a server of the Gateway, or bind another Gateway."},
    {"SLC0126", Severity::kInfo, "bound to no Gateway", "A VirtualService without `gateways`, or with `mesh` alone, speaks to sidecars. This gateway checks it and makes no route of it.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [ratings]\n  http:\n  - route: [{destination: {host: ratings}}]\n",
     "If it is meant for the gateway, add `gateways`."},
    {"SLC0127", Severity::kInfo, "several VirtualServices for one host", "On one Gateway their routes are merged: in the order of the objects' names, routes without a match last. Istio goes by age, which files have not.",
     Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n"
     "  http: [{match: [{uri: {prefix: /a}}], directResponse: {status: 200}}]\n---\n"
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n"
     "  http: [{match: [{uri: {prefix: /b}}], directResponse: {status: 200}}]\n",
     "Write them so that their matches do not overlap, or put them in one."},
    {"SLC0128", Severity::kWarning, "two servers for one host", "Two servers on the same port and address take the same host, in one Gateway or in two that select the same gateways. Requests for it are served by the "
     "VirtualServices of both.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: second, namespace: shop}\nspec:\n  servers: [{port: {number: 80, protocol: HTTP}, hosts: [shop.example]}]\n",
     "Bind the VirtualServices to one Gateway, or give each Gateway hosts of its own."},
    {"SLC0129", Severity::kInfo, "a subset that no route names", "Legal, and common while a rollout is prepared.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: ratings, subsets: [{name: v7}]}\n",
     "Nothing needs to be done."},
    {"SLC0130", Severity::kInfo, "weights that are no percentages", "Weights are shares of their sum: any sum is legal. Of several destinations one without a weight gets no request.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [shop.example]\n  gateways: [edge]\n  http:\n"
     "  - route: [{destination: {host: ratings}, weight: 90}, {destination: {host: ratings}, weight: 1}]\n",
     "If percentages are meant, let them add up to 100."},
    {"SLC0131", Severity::kWarning, "a Gateway that does not select this gateway", "Its `selector` names labels that node.labels of the gateway's file has not, and no other Gateway opens a port here.", Code::Example::kProse,
     "spec: {selector: {istio: egressgateway}}     # node: {labels: {istio: ingressgateway}}\n", "Make `selector` and node.labels agree."},
    {"SLC0132", Severity::kWarning, "a subset without endpoints", "No endpoint of the host has the subset's labels: requests to it get 503.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: ratings, subsets: [{name: v2, labels: {version: v2}}]}\n",
     "Correct the labels of the subset or of the endpoints."},
    {"SLC0133", Severity::kInfo, "a Gateway without a VirtualService", "The port is open and every request gets 404.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: shop}\nspec:\n  servers: [{port: {number: 8080, protocol: HTTP}, hosts: [\"*\"]}]\n",
     "Bind a VirtualService to it by `gateways`."},
    {"SLC0134", Severity::kInfo, "analysis cut short", "So many routes are alike that looking for unreachable ones was stopped. Nothing else is left out.", Code::Example::kProse,
     "10,000 routes of one path with a header match each\n", "Nothing needs to be done."},
    {"SLC0135", Severity::kInfo, "more findings than are shown", "Findings are counted up to a limit, so that a generated file with a million mistakes is answered as fast as one with two hundred.",
     Code::Example::kProse, "200 objects with a misspelt field each\n", "Correct those that are shown, and look again."},
    {"SLC0136", Severity::kWarning, "not exported to this gateway", "The VirtualService's `exportTo` leaves out the gateway's namespace: it makes no route.", Code::Example::kProse,
     "spec: {exportTo: [\".\"]}     # in namespace shop, and node.namespace is istio-system\n", "Add the gateway's namespace, or remove `exportTo`."},
    {"SLC0137", Severity::kWarning, "a selector that selects nothing", "No WorkloadEntry of the namespace has the labels: the service has no endpoint and requests get 503.", Code::Example::kMesh,
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [a.example]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"
     "  resolution: STATIC\n  workloadSelector: {labels: {app: nobody}}\n",
     "Correct the labels, or add WorkloadEntries in the same namespace."},

    {"SLC0301", Severity::kError, "an xDS resource that is refused", "A resource made of the mesh files, or sent by a control plane, holds a field or a value that this gateway does not take. Where a mesh object "
     "made it, the place is that object's.", Code::Example::kProse, "RouteConfiguration http.80: virtual_hosts[0].routes[0].route.retry_policy: retries are not supported yet\n",
     "Change what the message names in the object it came from."},
    {"SLC0401", Severity::kError, "no room for another revision", "Requests in progress hold so many parts of older revisions that one more would not fit.", Code::Example::kProse,
     "hundreds of edits while downloads of hours go on\n", "Write the file again when they have ended."},
};

}  // namespace sluice
