// Several segments that a port merged: one frame to us, as many as they were to the peer that counts our ACKs.
#include "tcp/stack_impl.h"
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class LargeReceive : public ConnectedScript {
 protected:
    void SetUp() override {
        Script::SetUp();
        HeaderFields syn;
        syn.mss = 600;
        accept(syn);
    }
    void merged(size_t bytes, uint16_t of) {
        next_merged_ = of;
        deliver(next(kAck), std::string(bytes, 'x'));
        their_seq_ = their_seq_ + static_cast<uint32_t>(bytes);
    }
    Tcb& tcb() { return *static_cast<Tcb*>(connection_); }
};

TEST_F(LargeReceive, IsAcknowledgedAtOnceAndSaysNothingOfTheMss) {
    merged(1800, 600);
    EXPECT_EQ(expect().segment.ack, their_seq_);
    EXPECT_EQ(tcb().rcv_mss, 600);
    EXPECT_EQ(read(connection_).size(), 1800u);
}

TEST_F(LargeReceive, TwoSegmentsAfterItAreAcknowledgedAsTwo) {
    merged(1800, 600);
    expect();
    tcb().quick_acks = 0;
    merged(600, 0);
    expect_silence();
    merged(600, 0);
    EXPECT_EQ(expect().segment.ack, their_seq_);
}

TEST_F(LargeReceive, APeersWordOnTheSizeOfPiecesIsBounded) {
    merged(700, 60'000);   // more than there is
    EXPECT_EQ(tcb().rcv_mss, 700);
    merged(1800, 1);
    EXPECT_EQ(tcb().rcv_mss, 700);
}

TEST_F(LargeReceive, BeyondTheWindowItIsCut) {
    const uint32_t window = tcb().offered_window();
    connection_->set_read_enabled(false);
    for (uint32_t sent = 0; sent < window + 5000; sent += 1800) {
        merged(1800, 600);
        while (poll()) {}
    }
    EXPECT_EQ(connection_->receive_queue().bytes(), window);
    EXPECT_EQ(tcb().offered_window(), 0u);
}

}  // namespace
}  // namespace sluice::tcp
