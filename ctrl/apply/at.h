// Where a reader is in a resource: a chain of steps on the stack, put together as text only when something is wrong.
// In: the step from the parent. Out: Nacks with path and place.
// A child points to its parent and must not outlive it.
#pragma once

#include <string>
#include <string_view>

#include "ctrl/apply/nack.h"

namespace sluice::apply {

class At {
 public:
    explicit At(NackSink& sink, const envoy::config::core::v3::Metadata* metadata = nullptr) : sink_(sink), metadata_(metadata) {}
    At child(std::string_view name, int index = -1, const envoy::config::core::v3::Metadata* metadata = nullptr) const {
        At next(sink_, metadata);
        next.parent_ = this;
        next.name_ = name;
        next.index_ = index;
        return next;
    }
    /// Always false, so that readers can say `return at.refuse(...)`.
    bool refuse(std::string message) const {
        sink_.add(path(), std::move(message), place());
        return false;
    }
    std::string path() const {
        std::string path = parent_ ? parent_->path() : std::string();
        if (!path.empty() && !name_.empty()) path += '.';
        path += name_;
        if (index_ >= 0) path += "[" + std::to_string(index_) + "]";
        return path;
    }
    xds::Provenance place() const {
        xds::Provenance place;
        if (metadata_) place = xds::provenance(*metadata_);
        if (place.source.empty() && place.object.empty() && parent_) return parent_->place();
        return place;
    }

 private:
    NackSink& sink_;
    const At* parent_ = nullptr;
    std::string_view name_;
    int index_ = -1;
    const envoy::config::core::v3::Metadata* metadata_;
};

}  // namespace sluice::apply
