// xDS resources -> a new Snapshot, or what is wrong with them. All or nothing: a resource that uses anything this gateway does
// not support is refused by resource, field and reason, and what was in force stays so (DESIGN.md, "The one contract").
// In: the whole state of the world. Out: a Snapshot to publish; parts whose content is unchanged are those of `previous`.
// Control thread. Fields that are read, ignored (with the reason) or refused: ctrl/apply/field_table.cc.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/apply/nack.h"
#include "ctrl/xds/resources.h"
#include "snapshot/snapshot.h"
#include "telemetry/access_log_set.h"

namespace sluice::apply {

/// This machine's own access log: for file access logs of that path that say no format. Elsewhere files may be opened in its
/// folder only, so that a control plane cannot write where it likes.
struct OwnAccessLog {
    std::string path;                                               // empty: none
    std::shared_ptr<const telemetry::AccessLogSet> set = nullptr;   // nullptr: the writer's standard one
    telemetry::AccessLogFormat format = telemetry::AccessLogFormat::text();
};

/// What TLS needs from outside of the resources.
struct TlsInputs {
    int64_t now_s = 0;                                  // 0: the clock's
    std::shared_ptr<tls::TicketKeys> ticket_keys = {};  // one for all listeners; nullptr: no resumption
    std::string key_log_path = {};                      // empty: off
    /// A secret that is newly wrong refuses the build. Else what was good of it stays in force, and its state says why.
    bool strict = false;
    const snapshot::TlsState* before = nullptr;         // instead of that of `previous`
};

/// `previous` is what `publisher` has in force (or nullptr); the result is to be published there before the next build.
std::expected<std::unique_ptr<snapshot::Snapshot>, std::vector<Nack>> build(const xds::ResourceSet& resources,
                                                                           const snapshot::Snapshot* previous,
                                                                           snapshot::Publisher& publisher, uint64_t revision,
                                                                           std::string version, const OwnAccessLog& own_log = {}, const TlsInputs& tls = {});

/// True once regexes that tables went without Hyperscan for are compiled: build the same resources again to have them.
bool could_adopt(const snapshot::Snapshot& snapshot);

}  // namespace sluice::apply
