// Records of a connection whose suite our record layer does not do (CBC, CCM): OpenSSL keeps them, with copies. Counted, never fast.
// In: bytes from the wire, plain bytes. Out: the other. Owns the SSL object that the handshake thread gave up. Single core.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/slice.h"
#include "tls/types.h"

namespace sluice::tls {

class OpensslRecords {
 public:
    virtual ~OpensslRecords() = default;
    enum class Status : uint8_t { kOk, kClosed /* close_notify */, kError };
    /// Takes the whole records of `in`; appends plain bytes to `plain`, in mbufs of `mbufs`. What is left is part of one record, so that
    /// what was taken and what it held can be told apart. Answers to the peer (alerts, key updates) leave with the next seal(), also of
    /// an empty `plain`.
    virtual Status open(SliceQueue& in, SliceQueue& plain, rte_mempool* mbufs) = 0;
    /// Takes all of `plain`; appends records to `out`. False: no mbuf left or broken.
    [[nodiscard]] virtual bool seal(SliceQueue& plain, SliceQueue& out, rte_mempool* mbufs) = 0;
    virtual bool close_notify(SliceQueue& out, rte_mempool* mbufs) = 0;
};

}  // namespace sluice::tls
