// Walks a resource by reflection and refuses every set field that the table does not let through, extensions included.
// In: a message. Out: Nacks with the path of the field and the place where a user wrote the nearest object.
// Depth and count are bounded: a resource may come from a server we do not trust. Control thread.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "ctrl/apply/nack.h"

namespace sluice::apply {

/// False if something was refused.
bool check_fields(const google::protobuf::Message& message, NackSink& sink);

/// The same of a message that is part of another: where it is in that, and where a user wrote that.
struct Within {
    std::string path;
    xds::Provenance place;
};
bool check_fields(const google::protobuf::Message& message, NackSink& sink, const Within& within);

/// The type within an Any, through udpa/xds TypedStruct. Without the "type.googleapis.com/".
std::string extension_type(const google::protobuf::Any& any);

}  // namespace sluice::apply
