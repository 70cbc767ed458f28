// The RouteConfiguration of one group of servers, kept up with the VirtualServices that are bound to it: an edit of one makes the virtual
// hosts that it has a part in, and all others are taken over as they are.
// In: VirtualServices that come, go, or are to be looked at again. Out: a RouteConfiguration, findings.
// Borrows Gateways and VirtualServices until they are removed. Private to this room.
// Istio: a server's hosts and a VirtualService's hosts meet in the narrower of two that overlap; several VirtualServices of one host are
// merged in order, catch-all routes last.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "ctrl/translate/parts.h"

namespace sluice::translate {

using VirtualServiceObject = model::Object<istio::VirtualService>;

// Some server of the group belongs to a Gateway that the VirtualService names.
bool is_bound(const VirtualServiceObject& service, const ServerGroup& group);

class GroupRoutes {
 public:
    using Host = xds::Resource<envoy::config::route::v3::VirtualHost>;
    using Table = xds::Resource<envoy::config::route::v3::RouteConfiguration>;

    // `socket`: all servers beside it, whose hosts are misdirected here.
    GroupRoutes(ServerGroup group, ServerGroup socket);
    GroupRoutes(const GroupRoutes&) = delete;
    GroupRoutes& operator=(const GroupRoutes&) = delete;

    // A VirtualService that is visible here.
    void add(const VirtualServiceObject& service);
    void remove(const VirtualServiceObject& service);
    // What its routes lead to may be something else now.
    void touch(const VirtualServiceObject& service);

    // Makes what changed since the last call. Nothing: nothing did.
    std::optional<Table> make(const Context& context);
    const std::string& name() const { return name_; }
    // Of all its virtual hosts.
    void append_errors(std::vector<Diagnostic>& out) const;

 private:
    // A VirtualService as one host sees it: reached through these Gateways.
    struct Claim {
        const VirtualServiceObject* service;
        std::set<std::string> gateways;
        bool redirects = false;   // a server with `tls.httpsRedirect` is among those through which it comes
    };
    using Claims = std::vector<Claim>;   // by name
    // Hosts with the same claims share a virtual host, named after the first of them.
    struct Merged {
        std::set<std::string> hosts;
        Host made;
        std::vector<Diagnostic> errors;
        bool stale = true;
    };
    struct HostState {
        Claims claims;
        std::string merged;   // its key
    };

    std::string key_of(const std::string& host, const Claims& claims) const;
    bool redirects(const std::string& host, const Claims& claims) const;
    Claim& claim_of(HostState& host, const VirtualServiceObject& service);
    void settle();
    void place(const std::string& host, HostState& state);
    void leave(const std::string& host, const std::string& key);
    Host make_host(const Context& context, Merged& merged) const;
    Host make_redirect(const std::string& host, const ServerGroup::Member& member) const;
    std::optional<Host> make_misdirected() const;

    const ServerGroup group_, socket_;
    const std::string name_;
    std::map<std::string, const ServerGroup::Member*> redirected_;   // hosts as servers with `tls.httpsRedirect` write them
    std::map<std::string, HostState> hosts_;
    std::map<std::string, Merged> merged_;                           // by key_of()
    std::map<std::string, Merged*> by_first_host_;
    std::unordered_map<const VirtualServiceObject*, std::vector<std::string>> hosts_of_;
    std::set<std::string> unsettled_;                                // hosts whose claims changed
    size_t erroneous_ = 0;                                           // virtual hosts with errors
    bool changed_ = true;
};

}  // namespace sluice::translate
