// Captures under way: installs a tap on each core, empties the taps' rings into a pcapng stream, takes the taps off again.
// In: what is wanted. Out: a stream of bytes for whoever serves it. Owns the taps until every core has let go of them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "ctrl/admin/sources.h"
#include "worker/crew.h"

namespace sluice::gateway {

class Captures {
 public:
    /// `tagged`: some port is in a VLAN.
    Captures(worker::Crew& crew, bool tagged) : crew_(crew), tagged_(tagged) {}
    /// Error: a port that is not there, a filter that is none, too many captures, a stalled core.
    Result<std::shared_ptr<admin::Stream>> start(const admin::CaptureWanted& wanted);
    /// Has the capture of that token end orderly. False: there is none.
    bool stop(const std::string& token);

 private:
    class Session;
    /// A tap and the filter it uses.
    struct Tap {
        std::shared_ptr<worker::CaptureTap> tap;
        std::shared_ptr<const worker::CaptureFilter> filter;
    };
    /// Takes the tap off core `i`; keeps it for ever if that core does not answer.
    void remove(uint32_t core, const Tap& tap);
    Result<uint32_t> ports_of(const admin::CaptureWanted& wanted) const;

    worker::Crew& crew_;
    const bool tagged_;
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<Session>> sessions_;
    std::vector<Tap> stuck_;
};

}  // namespace sluice::gateway
