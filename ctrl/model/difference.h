// What changed between two states of a mesh, kind by kind: objects are told apart by identity, as source::MeshReader keeps it.
// In: the objects of one kind, before and now. Out: those that went and those that came; one that changed is in both.
// Borrows both for the caller. Costs a comparison of pointers for each object, and more only for those that moved.
#pragma once

#include <unordered_set>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

template <typename Spec>
struct Difference {
    std::vector<const Object<Spec>*> went, came;
    bool empty() const { return went.empty() && came.empty(); }
};

template <typename Spec>
Difference<Spec> difference(const Objects<Spec>& before, const Objects<Spec>& now) {
    const auto &a = before.shared(), &b = now.shared();
    size_t front = 0;
    while (front < a.size() && front < b.size() && a[front] == b[front]) front++;
    size_t a_end = a.size(), b_end = b.size();
    while (a_end > front && b_end > front && a[a_end - 1] == b[b_end - 1]) a_end--, b_end--;
    Difference<Spec> out;
    if (a_end - front == 1 && b_end - front == 1) {   // the usual case
        out.went = {a[front].get()}, out.came = {b[front].get()};
        return out;
    }
    std::unordered_set<const Object<Spec>*> old;
    for (size_t i = front; i < a_end; i++) old.insert(a[i].get());
    for (size_t i = front; i < b_end; i++)
        if (old.erase(b[i].get()) == 0) out.came.push_back(b[i].get());
    out.went.assign(old.begin(), old.end());
    return out;
}

}  // namespace sluice::model
