// Sets are numbered as they are made; a number is not used again. Control thread.
#include "telemetry/access_log_set.h"

#include <fmt/format.h>

#include <atomic>

namespace sluice::telemetry {

Result<std::shared_ptr<const AccessLogSet>> AccessLogSet::make(std::vector<Log> logs, AccessLogCaptures captures) {
    static std::atomic<uint32_t> next{1};
    std::shared_ptr<AccessLogSet> out(new AccessLogSet);
    out->captures_ = std::move(captures);
    for (Log& log : logs)
        if (!log.format.move_captures(out->captures_))
            return std::unexpected(fmt::format("the access logs want more than {} different headers", kCapturedHeadersMax));
    out->logs_ = std::move(logs);
    out->id_ = next.fetch_add(1, std::memory_order_relaxed);
    return out;
}

const std::shared_ptr<const AccessLogSet>& AccessLogSet::standard() {
    static const std::shared_ptr<const AccessLogSet> set(new AccessLogSet);
    return set;
}

}  // namespace sluice::telemetry
