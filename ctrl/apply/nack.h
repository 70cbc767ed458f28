// Why a set of resources was refused: which resource, which field, what is wrong with it, and where a user wrote it.
// In: the walk and the readers report. Out: a list for the ADS client's NACK or for the operator's screen.
// Plain values; the sink stops counting at a limit, so that a hostile server cannot fill memory with complaints.
#pragma once

#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/xds/resources.h"

namespace sluice::apply {

struct Nack {
    std::string type;         // envoy.config.route.v3.RouteConfiguration
    std::string name;         // http.80
    std::string field;        // virtual_hosts[0].routes[2].route.retry_policy; may be empty
    std::string message;      // retries are not supported yet
    xds::Provenance place;    // of the nearest enclosing object that says so; may be empty
};

/// For the same screen as findings in mesh files: place and field of the mesh object that made the resource, where it is known.
Diagnostic to_diagnostic(const Nack& nack);
/// With the line itself, which a Nack does not carry: read from the mesh directory, which messages call `shown_as`.
void show_line(Diagnostic& diagnostic, const std::string& directory, const std::string& shown_as);

inline constexpr size_t kNacksMax = 100;

/// Collects what is wrong with one resource after another.
class NackSink {
 public:
    void begin(std::string type, std::string name) {
        type_ = std::move(type);
        name_ = std::move(name);
    }
    void add(std::string field, std::string message, xds::Provenance place = {}) {
        if (nacks_.size() < kNacksMax) nacks_.push_back({type_, name_, std::move(field), std::move(message), std::move(place)});
    }
    size_t size() const { return nacks_.size(); }
    bool full() const { return nacks_.size() >= kNacksMax; }
    std::vector<Nack> take() { return std::move(nacks_); }

 private:
    std::string type_, name_;
    std::vector<Nack> nacks_;
};

}  // namespace sluice::apply
