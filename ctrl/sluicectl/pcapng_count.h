// Counts what passes in a pcapng stream: frames, and what the last statistics of each interface say was lost.
// In: pieces of the stream as they come, cut anywhere. Keeps a block that is not whole yet, nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::ctl {

class PcapngCount {
 public:
    void add(std::string_view piece);
    uint64_t frames = 0, bytes_written = 0;
    uint64_t dropped() const;

 private:
    void statistics(std::string_view block);
    std::string rest_;
    std::map<uint32_t, uint64_t> dropped_;   // by interface
};

}  // namespace sluice::ctl
