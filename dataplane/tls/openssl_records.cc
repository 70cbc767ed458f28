// Records of suites that our record layer does not do (see openssl_records.h): SSL_read and SSL_write over memory BIOs, with copies.
#include <algorithm>

#include "tls/handshake_session.h"

namespace sluice::tls {

namespace {

/// Bytes of `bytes` in fresh mbufs at the end of `out`. False: no mbuf or node left; what was appended stays.
bool append(std::span<const uint8_t> bytes, SliceQueue& out, rte_mempool* mbufs) {
    while (!bytes.empty()) {
        if (const size_t n = std::min<size_t>(bytes.size(), out.tail_room()); n > 0 && out.append_copy(bytes.first(n))) {
            bytes = bytes.subspan(n);
            continue;
        }
        rte_mbuf* mbuf = rte_pktmbuf_alloc(mbufs);
        if (!mbuf) return false;
        Slice slice(mbuf, mbuf->data_off, 0);
        const uint32_t n = static_cast<uint32_t>(std::min<size_t>(bytes.size(), mbuf->buf_len - mbuf->data_off));
        std::memcpy(slice.data(), bytes.data(), n);
        slice.extend(n);
        if (!out.push_back(std::move(slice))) return false;
        bytes = bytes.subspan(n);
    }
    return true;
}

class OpensslRecordsImpl final : public OpensslRecords {
 public:
    OpensslRecordsImpl(SslPtr ssl, LiveConnection live, std::shared_ptr<const void> keep)
        : keep_(std::move(keep)), live_(std::move(live)), ssl_(std::move(ssl)) {}
    ~OpensslRecordsImpl() override { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }

    Status open(SliceQueue& in, SliceQueue& plain, rte_mempool* mbufs) override {
        while (!in.empty()) {
            const Slice slice = in.pop_front();
            if (BIO_write(SSL_get_rbio(ssl_.get()), slice.data(), static_cast<int>(slice.size())) != static_cast<int>(slice.size())) return Status::kError;
        }
        in.clear();
        uint8_t buffer[4096];
        ERR_clear_error();
        for (;;) {
            const int n = SSL_read(ssl_.get(), buffer, sizeof buffer);
            if (n > 0) {
                if (!append({buffer, static_cast<size_t>(n)}, plain, mbufs)) return Status::kError;
                continue;
            }
            const int error = SSL_get_error(ssl_.get(), n);
            ERR_clear_error();
            if (error == SSL_ERROR_WANT_READ) return Status::kOk;
            return error == SSL_ERROR_ZERO_RETURN ? Status::kClosed : Status::kError;
        }
    }

    bool seal(SliceQueue& plain, SliceQueue& out, rte_mempool* mbufs) override {
        ERR_clear_error();
        while (!plain.empty()) {
            const Slice slice = plain.pop_front();
            if (!slice.empty() && SSL_write(ssl_.get(), slice.data(), static_cast<int>(slice.size())) != static_cast<int>(slice.size())) {
                ERR_clear_error();
                return false;
            }
        }
        plain.clear();
        return flush(out, mbufs);
    }

    bool close_notify(SliceQueue& out, rte_mempool* mbufs) override {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
        return flush(out, mbufs);
    }

 private:
    bool flush(SliceQueue& out, rte_mempool* mbufs) {
        BIO* bio = SSL_get_wbio(ssl_.get());
        uint8_t buffer[4096];
        for (int n; (n = BIO_read(bio, buffer, sizeof buffer)) > 0;)
            if (!append({buffer, static_cast<size_t>(n)}, out, mbufs)) return false;
        return true;
    }

    std::shared_ptr<const void> keep_;
    LiveConnection live_;
    SslPtr ssl_;   // freed before what it needs
};

}  // namespace

std::unique_ptr<OpensslRecords> make_openssl_records(SslPtr ssl, LiveConnection live, std::shared_ptr<const void> keep) {
    return std::make_unique<OpensslRecordsImpl>(std::move(ssl), std::move(live), std::move(keep));
}

}  // namespace sluice::tls
