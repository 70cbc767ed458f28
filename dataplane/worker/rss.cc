// Programming a port's hash, and the hash itself (see rss.h). What a driver says it did is not believed: it is read back.
#include "worker/rss.h"

#include <rte_ethdev.h>
#include <rte_thash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/endian.h"

namespace sluice::worker {

namespace {

constexpr uint64_t kTcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

using Table = std::vector<rte_eth_rss_reta_entry64>;

uint16_t& entry(Table& table, uint32_t i) { return table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]; }

Table whole_table(uint32_t entries) {
    Table table((entries + RTE_ETH_RETA_GROUP_SIZE - 1) / RTE_ETH_RETA_GROUP_SIZE);
    for (auto& group : table) group.mask = UINT64_MAX;
    return table;
}

uint8_t key_bytes(const rte_eth_dev_info& device) {
    return device.hash_key_size != 0 ? device.hash_key_size : uint8_t{kRssKeyBytes};
}

bool has_key(uint16_t ethdev, const RssKey& key, uint8_t bytes) {
    RssKey read{};
    rte_eth_rss_conf conf{};
    conf.rss_key = read.data();
    conf.rss_key_len = bytes;
    return rte_eth_dev_rss_hash_conf_get(ethdev, &conf) == 0 && (conf.rss_hf & kTcp) == kTcp &&
           std::equal(key.begin(), key.begin() + bytes, read.begin());
}

}  // namespace

uint32_t rss_table_size(uint16_t ethdev) {
    rte_eth_dev_info device;
    if (rte_eth_dev_info_get(ethdev, &device) != 0 || (device.flow_type_rss_offloads & kTcp) != kTcp) return 0;
    const uint8_t bytes = key_bytes(device);
    if (bytes < kRssKeyBytes || bytes > kRssKeyBytesMax) return 0;
    return std::has_single_bit(device.reta_size) && device.reta_size <= kRssTableMax ? device.reta_size : 0;
}

bool program_rss(uint16_t ethdev, const RssKey& key, uint32_t table_entries, uint32_t queues) {
    rte_eth_dev_info device;
    const uint32_t entries = rss_table_size(ethdev);
    if (entries == 0 || rte_eth_dev_info_get(ethdev, &device) != 0) return false;
    RssKey copy = key;
    rte_eth_rss_conf conf{};
    conf.rss_key = copy.data();
    conf.rss_key_len = key_bytes(device);
    conf.rss_hf = kTcp;
    // A driver that takes the key only when it is configured has it already, and says so when it is read.
    if (!has_key(ethdev, key, conf.rss_key_len)) rte_eth_dev_rss_hash_update(ethdev, &conf);
    if (!has_key(ethdev, key, conf.rss_key_len)) return false;
    Table table = whole_table(entries), read = whole_table(entries);
    for (uint32_t i = 0; i < entries; i++) entry(table, i) = static_cast<uint16_t>(i % table_entries % queues);
    if (rte_eth_dev_rss_reta_update(ethdev, table.data(), static_cast<uint16_t>(entries)) != 0 ||
        rte_eth_dev_rss_reta_query(ethdev, read.data(), static_cast<uint16_t>(entries)) != 0)
        return false;
    for (uint32_t i = 0; i < entries; i++)
        if (entry(read, i) != entry(table, i)) return false;
    return true;
}

Toeplitz::Toeplitz(const RssKey& key) {
    uint32_t words[kRssKeyBytes / 4];
    std::memcpy(words, key.data(), sizeof words);
    rte_convert_rss_key(words, key_.data(), sizeof words);
}

uint32_t Toeplitz::hash(const FourTuple& t) const {
    // Source, destination, source port, destination port as they lie in the packet, in host words.
    uint32_t input[9];
    uint32_t n = 0;
    const int first = t.remote.ip.is_v4() ? 12 : 0;
    for (const IpAddress* ip : {&t.remote.ip, &t.local.ip})
        for (int at = first; at < 16; at += 4) input[n++] = load_be32(ip->bytes.data() + at);
    input[n++] = uint32_t{t.remote.port} << 16 | t.local.port;
    return rte_softrss_be(input, n, reinterpret_cast<const uint8_t*>(key_.data()));
}

}  // namespace sluice::worker
