// Every pool and queue a core sizes at start, each with who uses it. Changed here, or by the gateway's own file where it
// says so; never grown at run time (DESIGN.md: when a pool is empty, drop, count, push back).
#pragma once

#include <cstdint>

namespace sluice::limits {

// Ports and cores.
inline constexpr uint32_t kPortsMax = 8;
inline constexpr uint32_t kCoresMax = 64;
inline constexpr uint32_t kBurst = 64;  // frames of one rx_burst or tx_burst

// mbufs.
inline constexpr uint32_t kMbufRoomBytes = 2048;           // data room without headroom: an MTU 1500 frame and to spare

// IP, per core.
inline constexpr uint32_t kNeighborsMax = 4096;              // ARP and ND entries: on-link peers, routers and backends
inline constexpr uint32_t kReassemblyDatagrams = 256;        // with fragments missing, at once: honest ones lack them for milliseconds
inline constexpr uint32_t kReassemblyFragments = 64;         // of one datagram: 64 KiB at an MTU of 1280 are 53
inline constexpr uint64_t kReassemblyBytes = 4u << 20;       // of mbufs by true size, as Linux's ipfrag_high_thresh

// HTTP/1.
inline constexpr uint32_t kRequestHeaderBytes = 60 * 1024; // default of limits.requestHeader (Envoy: 60 KiB)
inline constexpr uint32_t kHeadersMax = 100;               // Envoy's max_headers_count
inline constexpr uint32_t kRequestTargetBytes = 32 * 1024; // 414 above
inline constexpr uint32_t kChunkLineBytes = 256;           // chunk size with extensions
inline constexpr uint32_t kTrailerBytes = 8 * 1024;
inline constexpr uint32_t kPipelinedMax = 64;              // requests read ahead of their answers: none is parsed beyond one

// Arena chunks that hold headers.
inline constexpr uint32_t kArenaChunkBytes = 4096;
inline constexpr uint32_t kArenaLargeChunkBytes = 64 * 1024;  // a whole head of kRequestHeaderBytes in one piece
inline constexpr uint32_t kArenaChunksPerLarge = 64;          // large chunks are a 64th of the small ones in number

// Proxy.
inline constexpr uint32_t kStreamBufferBytes = 256 * 1024; // body bytes held per direction before the sender's window closes

}  // namespace sluice::limits
