// What the rest of a mesh sees of a service and of a workload: all but where their endpoints are.
// In: two states of one object. Out: whether anything but addresses, ports, weights and localities of endpoints differs. While
// nothing does, findings about other objects, listeners and routes are what they were.
// Pure functions.
#pragma once

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

bool same_but_for_endpoints(const Object<istio::ServiceEntry>& a, const Object<istio::ServiceEntry>& b);
bool same_but_for_endpoints(const Object<istio::WorkloadEntry>& a, const Object<istio::WorkloadEntry>& b);

/// The very same Secrets.
bool same_secrets(const MeshConfig& a, const MeshConfig& b);

/// Of all objects of a kind: the same ones, or ones that differ in endpoints only.
template <typename Spec>
bool same_but_for_endpoints(const Objects<Spec>& a, const Objects<Spec>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (a.shared()[i] != b.shared()[i] && !same_but_for_endpoints(a[i], b[i])) return false;
    return true;
}

}  // namespace sluice::model
