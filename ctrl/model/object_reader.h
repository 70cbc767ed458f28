// YAML documents -> typed Istio objects.
// In: a parsed file. Out: objects appended to a MeshConfig, findings for what is not one.
// Objects share the file's ownership.
// apiVersion networking.istio.io/v1, v1beta1, v1alpha3: the same fields in all three.
#pragma once

#include <memory>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

void read_objects(const std::shared_ptr<const yaml::File>& file, MeshConfig& mesh, std::vector<Diagnostic>& out);

}  // namespace sluice::model
