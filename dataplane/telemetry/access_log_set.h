// The access logs of one listener: for each a file, a format and perhaps a filter. Workers know only the set's number and which
// headers it wants; formats and filters are the telemetry thread's. Immutable, shared by snapshots and the writer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log.h"
#include "telemetry/access_log_captures.h"
#include "telemetry/access_log_format.h"

namespace sluice::telemetry {

class AccessLogSet {
 public:
    /// True: this entry is logged. Runs on the telemetry thread.
    using Filter = std::function<bool(const AccessLogEntry&)>;
    struct Log {
        std::string path;
        AccessLogFormat format;
        Filter filter = {};
    };
    /// `captures` are those that the filters look at. Refused if filters and formats want more than kCapturedHeadersMax headers.
    static Result<std::shared_ptr<const AccessLogSet>> make(std::vector<Log> logs, AccessLogCaptures captures = {});
    /// Number 0, without captures: the file and the format that the writer was opened with.
    static const std::shared_ptr<const AccessLogSet>& standard();

    uint32_t id() const { return id_; }
    const std::vector<Log>& logs() const { return logs_; }
    const AccessLogCaptures& captures() const { return captures_; }

 private:
    AccessLogSet() = default;
    uint32_t id_ = 0;
    std::vector<Log> logs_;
    AccessLogCaptures captures_;
};

}  // namespace sluice::telemetry
