// libFuzzer target: a connection after its handshake whose peer does what the input says. First bytes: suite and role, seed of the cuts.
// Then steps: raw bytes, records that are authentic with any content, data of ours. Checked: what is opened is what an honest record held,
// in order; what we seal OpenSSL's EVP opens; after an error nothing comes out. Slices are exact-size heap buffers.
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "tests/tls/record_harness.h"

namespace {

using namespace sluice;
using namespace sluice::tls;
using namespace sluice::tls::test;
using Status = Records::Status;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

class Play {
 public:
    Play(Memory& memory, std::span<const uint8_t> script, const Suite& suite, Role role, uint8_t seed)
        : memory_(memory), script_(script), rng_(seed), in_(memory.nodes), plain_(memory.nodes), out_(memory.nodes) {
        TrafficKeys keys = random_keys(suite, role, rng_);
        peer_.emplace(mirror(keys));
        records_.emplace(memory.engine, keys);
    }
    void run() {
        while (!script_.empty()) {
            const uint8_t step = byte();
            switch (step % 8) {
                case 0: case 1: raw(take(byte())); break;
                case 2: authentic(kDataType, true); break;
                case 3: authentic(kHandshakeType, false); break;
                case 4: authentic(kAlertType, false); break;
                case 5: odd(byte()); break;
                case 6: send(byte() * (step >> 4) + 1u); break;
                case 7: control(step); break;
            }
        }
    }

 private:
    uint8_t byte() {
        if (script_.empty()) return 0;
        const uint8_t b = script_[0];
        script_ = script_.subspan(1);
        return b;
    }
    Bytes take(size_t n) {
        const auto part = script_.first(std::min(n, script_.size()));
        script_ = script_.subspan(part.size());
        return Bytes(part.begin(), part.end());
    }
    void authentic(uint8_t type, bool data) {
        const Bytes content = take(byte());
        const size_t padding = byte() % 4 == 0 ? byte() : 0;
        if (data && !raw_) expected_.insert(expected_.end(), content.begin(), content.end());
        give(peer_->seal(type, content, padding));
    }
    /// Nothing behind bytes that nobody sealed can be authentic.
    void raw(const Bytes& wire) {
        if (!wire.empty()) raw_ = true;
        give(wire);
    }
    void odd(uint8_t type) { authentic(type == kDataType || type == 0 ? 99 : type, false); }
    void give(const Bytes& wire) {
        push_cut(in_, wire, rng_);
        const uint64_t updates = memory_.engine.counters().key_updates_in;
        Status status;
        while ((status = records_->open(in_, plain_, UINT64_MAX)) == Status::kPostHandshake) {
            if (records_->post_handshake_record().size() < 5) fail("an empty ticket record");
        }
        if (memory_.engine.counters().key_updates_in != updates) ReferenceRecords::update(peer_->keys().transmit, peer_->keys());
        const Bytes opened = taken(plain_);
        if (over_ && !opened.empty()) fail("plain bytes after the end");
        if (opened.size() > expected_.size() || !std::equal(opened.begin(), opened.end(), expected_.begin())) fail("plain bytes that nobody sealed");
        expected_.erase(expected_.begin(), expected_.begin() + static_cast<ptrdiff_t>(opened.size()));
        if (status == Status::kOk) return;
        over_ = true;
        if (!in_.empty()) fail("bytes are kept after the end");
        if (status == Status::kError && records_->alert() == Alert::kCloseNotify) fail("an error without an alert");
    }
    void read(Bytes wire, const Bytes* data) {
        Bytes opened;
        while (!wire.empty()) {
            const auto record = peer_->open(wire);
            if (record.type == 0) fail("a record that OpenSSL does not open");
            if (record.type == kHandshakeType) ReferenceRecords::update(peer_->keys().receive, peer_->keys());
            if (record.type == kDataType) opened.insert(opened.end(), record.content.begin(), record.content.end());
        }
        if (data && opened != *data) fail("sealed and opened differ");
    }
    void send(size_t bytes) {
        const Bytes data = random_bytes(rng_, bytes);
        SliceQueue plain(memory_.nodes);
        push_cut(plain, data, rng_);
        now_.us += rng_.below(2'000'000);
        const bool sealed = records_->seal(plain, out_, now_);
        read(taken(out_), sealed ? &data : nullptr);
    }
    void control(uint8_t step) {
        if (step == 0xf7) records_->close_notify();
        if (step == 0xff) records_->send_alert(Alert::kInternalError);
        if (!records_->take_control(out_)) fail("control records without room");
        if (records_->has_control()) fail("control records are left");
        read(taken(out_), nullptr);
    }

    Memory& memory_;
    std::span<const uint8_t> script_;
    Rng rng_;
    std::optional<ReferenceRecords> peer_;
    std::optional<Records> records_;
    SliceQueue in_, plain_, out_;
    Bytes expected_;
    Instant now_{};
    bool raw_ = false, over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    static Memory memory(3);
    const auto all = suites();
    Play(memory, {data + 2, size - 2}, all[data[0] % all.size()], data[0] & 0x80 ? Role::kClient : Role::kServer, data[1]).run();
    if (memory.nodes.in_use() != 0) fail("list nodes are lost");
    return 0;
}
