// One revision of mesh config: the typed objects of all files, each knowing where it stands.
// In: object_reader fills it. Out: checks, ctrl/translate, `sluicectl config show`.
// Owns objects and, through shared files, the text behind them; immutable once read.
// Istio networking API v1.
#pragma once

#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/istio.pb.h"
#include "ctrl/model/yaml.h"

namespace sluice::model {

using Labels = std::map<std::string, std::string>;

// What all objects have: who they are and where they stand.
struct ObjectBase {
    std::string kind;
    std::string name;
    std::string ns;
    Labels labels;
    std::shared_ptr<const yaml::File> file;
    const yaml::Node* root = nullptr;  // in *file

    std::string key() const { return ns + "/" + name; }
    std::string id() const { return kind + " " + key(); }  // VirtualService shop/reviews

    // mesh/reviews.yaml:9, the line of the field path; of the object without one.
    std::string source(std::string_view path = "") const;

    // A finding at the field, or at the longest part of its path that was written. `at_value` puts the caret
    // under the value instead of the field's name.
    Diagnostic finding(std::string code, std::string_view path, std::string message, std::string cure = "",
                       bool at_value = true) const;
};

template <typename Spec>
struct Object : ObjectBase {
    Spec spec;
};

// In reading order: files by name, then lines.
bool reads_before(const ObjectBase& a, const ObjectBase& b);

// Kubernetes Secret: values decoded (secret.h). They are shown nowhere.
struct Secret : ObjectBase {
    std::string type;                         // kubernetes.io/tls, Opaque
    std::map<std::string, std::string> data;  // tls.crt -> PEM
};

// Objects of one kind in reading order. Each is shared by the revisions that have it unchanged.
template <typename Spec>
class Objects {
 public:
    using Ptr = std::shared_ptr<const Object<Spec>>;
    class Iterator {
     public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Object<Spec>;
        using difference_type = std::ptrdiff_t;
        using pointer = const Object<Spec>*;
        using reference = const Object<Spec>&;

        explicit Iterator(typename std::vector<Ptr>::const_iterator at) : at_(at) {}
        reference operator*() const { return **at_; }
        pointer operator->() const { return at_->get(); }
        Iterator& operator++() { return ++at_, *this; }
        Iterator operator++(int) { return Iterator(at_++); }
        bool operator==(const Iterator&) const = default;

     private:
        typename std::vector<Ptr>::const_iterator at_;
    };

    void push_back(Object<Spec> object) { items_.push_back(std::make_shared<const Object<Spec>>(std::move(object))); }
    void push_back(Ptr object) { items_.push_back(std::move(object)); }
    void append(const Objects& more) { items_.insert(items_.end(), more.items_.begin(), more.items_.end()); }
    Iterator begin() const { return Iterator(items_.begin()); }
    Iterator end() const { return Iterator(items_.end()); }
    size_t size() const { return items_.size(); }
    bool empty() const { return items_.empty(); }
    const Object<Spec>& operator[](size_t index) const { return *items_[index]; }
    const Object<Spec>& at(size_t index) const { return *items_.at(index); }
    const Object<Spec>& back() const { return *items_.back(); }
    const std::vector<Ptr>& shared() const { return items_; }
    // The very same objects.
    bool operator==(const Objects&) const = default;

 private:
    std::vector<Ptr> items_;
};

struct MeshConfig {
    Objects<istio::Gateway> gateways;
    Objects<istio::VirtualService> virtual_services;
    Objects<istio::DestinationRule> destination_rules;
    Objects<istio::ServiceEntry> service_entries;
    Objects<istio::WorkloadEntry> workload_entries;
    std::vector<Secret> secrets;

    std::map<std::string, std::string> places;  // of every object seen, also a wrong one: id -> file:line; for checks
    std::vector<std::string> files;     // names as shown, in reading order
    std::string hash;                   // of all files' names and bytes, 16 hex digits
    std::vector<Diagnostic> warnings;   // no error is among them
};

// `exportTo` of an object in `own_ns`, seen from `ns`: absent or "*" is everybody, "." the own namespace.
template <typename Names>
bool visible_from(const Names& export_to, const std::string& own_ns, const std::string& ns) {
    if (export_to.empty()) return true;
    for (const std::string& name : export_to)
        if (name == "*" || name == ns || (name == "." && own_ns == ns)) return true;
    return false;
}

// Every label wanted is there with that value.
template <typename Wanted, typename Given>
bool has_labels(const Given& given, const Wanted& wanted) {
    for (const auto& [name, value] : wanted) {
        const auto found = given.find(name);
        if (found == given.end() || found->second != value) return false;
    }
    return true;
}

}  // namespace sluice::model
