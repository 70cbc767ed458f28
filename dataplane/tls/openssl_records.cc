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
        for (uint32_t bytes; (bytes = whole_record(in)) > 0;)
            if (!take(in, bytes)) return Status::kError;
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
    /// Bytes of the record at the front, once it is there in full; 0: not yet. One that claims too much is all that came: OpenSSL says so.
    static uint32_t whole_record(const SliceQueue& in) {
        uint8_t header[kRecordHeaderBytes];
        if (in.peek(0, header) < sizeof header) return 0;
        const uint32_t total = kRecordHeaderBytes + (uint32_t{header[3]} << 8 | header[4]);
        if (total > kRecordHeaderBytes + SSL3_RT_MAX_ENCRYPTED_LENGTH) return static_cast<uint32_t>(in.bytes());
        return in.bytes() < total ? 0 : total;
    }

    bool take(SliceQueue& in, uint32_t bytes) {
        while (bytes > 0) {
            const Slice& front = in.front();
            const uint32_t n = std::min(bytes, front.size());
            if (BIO_write(SSL_get_rbio(ssl_.get()), front.data(), static_cast<int>(n)) != static_cast<int>(n)) return false;
            in.consume(n);
            bytes -= n;
        }
        return true;
    }

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
