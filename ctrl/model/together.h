// What objects say about one another (references, conflicts, unreachable routes), told again after each edit at the cost of what the edit
// touches: each finding is of one object, and is looked for again when that object, or one that it depends on, is another than before.
// In: a mesh whose unchanged objects are those of the last one. Out: all findings, those of a check from nothing.
// Keeps the last mesh, an index of who depends on whom, and the findings. Control thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

class Together {
 public:
    Together();
    ~Together();
    /// `places`: of every object seen, also of kinds that are passed over: id -> file:line.
    void check(std::shared_ptr<const MeshConfig> mesh, const std::map<std::string, std::string>& places, std::vector<Diagnostic>& out);
    /// Objects that the last check() looked at.
    size_t looked_at() const;
    /// It looked at all.
    bool whole() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::model
