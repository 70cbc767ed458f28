// Checks of a whole revision that need no proxy: values, and references between objects.
// In: a MeshConfig as read. Out: findings; an error among them means the revision must not be used.
// Borrows everything.
// Istio's own validation rules, plus what this version cannot do although the field is known.
#pragma once

#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

// `references`: also hosts, subsets and gateways named by one object and defined by another; off when a
// file could not be read, because then everything that names its objects would be wrong too.
void check(const MeshConfig& mesh, bool references, std::vector<Diagnostic>& out);

// Its two halves: what one object says for itself, and what objects say about one another.
void check_each(const MeshConfig& mesh, std::vector<Diagnostic>& out);
void check_together(const MeshConfig& mesh, std::vector<Diagnostic>& out);

}  // namespace sluice::model
