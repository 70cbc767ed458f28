// What the TCP programs of perf/ that run without a wire share: segments made by hand, resident memory, medians.
// In: header fields and payload. Out: datagrams with right checksums as the IP layer would hand them up; figures.
// The caller owns what is made. RFC 9293 3.1.
#pragma once

#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/mbuf_pool.h"
#include "net/datagram.h"
#include "tcp/segment.h"
#include "tests/support/eal.h"

namespace sluice::perf {

/// EAL, and a pool of the shape that a worker has: with its core's cache in front.
inline rte_mempool* worker_pool(uint32_t mbufs) {
    test::test_eal();
    const auto pool = make_mbuf_pool("perf_mbufs", mbufs, SOCKET_ID_ANY);
    if (!pool) {
        std::fprintf(stderr, "%s\n", pool.error().c_str());
        std::exit(2);
    }
    return *pool;
}

/// A received TCP segment, its checksum still to be verified (software ports).
inline net::DatagramIn make_datagram(rte_mempool* pool, const IpAddress& source, const IpAddress& destination, const tcp::HeaderFields& fields,
                                     std::string_view payload = {}) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    if (!m) std::abort();
    auto* header = rte_pktmbuf_mtod(m, uint8_t*);
    const uint32_t header_bytes = tcp::write_header(fields, header);
    std::memcpy(header + header_bytes, payload.data(), payload.size());
    const auto bytes = static_cast<uint16_t>(header_bytes + payload.size());
    m->data_len = bytes;
    m->pkt_len = bytes;
    store_checksum(header + 16, checksum_finish(checksum_add(header, bytes, pseudo_header_sum(source, destination, net::kProtocolTcp, bytes))));
    net::DatagramIn in;
    in.source = source;
    in.destination = destination;
    in.mbuf = m;
    in.payload_length = bytes;
    in.protocol = net::kProtocolTcp;
    return in;
}

/// This process's resident memory.
inline uint64_t resident_bytes() {
    unsigned long size = 0, resident = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (!file || std::fscanf(file, "%lu %lu", &size, &resident) != 2) std::abort();
    std::fclose(file);
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// `at` 0.5 is the median; 0 and 1 the ends of the spread.
inline double quantile(std::vector<double> values, double at = 0.5) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const double place = at * static_cast<double>(values.size() - 1);
    const auto low = static_cast<size_t>(place);
    const size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (values[high] - values[low]) * (place - static_cast<double>(low));
}

}  // namespace sluice::perf
