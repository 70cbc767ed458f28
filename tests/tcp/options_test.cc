// Options that change while a connection lives, a full accept queue, a chosen local port, bytes written by copy, and Info.
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

using OptionsTest = Script;

std::span<const uint8_t> bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

void end(Connection* c) {
    c->abort();
    c->release();
}

TEST_F(OptionsTest, WindowScaleIsEchoedAlsoWhenOurShiftIsZero) {
    Options small;
    small.receive_buffer_bytes = 30'000;
    listener_ = stack_->listen(us_, this, small);
    HeaderFields syn;
    syn.window_shift = 7, syn.flags = kSyn, syn.seq = Seq{1000}, syn.window = 1000;
    ASSERT_TRUE(deliver(syn));
    const Answer a = expect();
    EXPECT_TRUE(a.segment.has_window_scale) << "without it the peer would not scale, while we do (RFC 7323 2.2)";
    EXPECT_EQ(a.segment.window_shift, 0);
}

TEST_F(OptionsTest, AFullQueueDropsSynsAndLastAcks) {
    listener_ = stack_->listen(us_, this, {});
    HeaderFields syn;
    syn.flags = kSyn, syn.seq = Seq{1000}, syn.window = 65535;
    ASSERT_TRUE(deliver(syn));
    const Answer syn_ack = expect();
    our_seq_ = syn_ack.segment.seq + 1, their_seq_ = Seq{1001};
    stack_->set_accepting(listener_, false);
    deliver(next(kAck));
    expect_silence();
    EXPECT_EQ(events(), 0);
    EXPECT_EQ(stack_->half_open(), 1u);
    deliver(syn, "", SocketAddress{peer_.ip, 40001});
    expect_silence();
    EXPECT_EQ(stack_->half_open(), 1u);
    EXPECT_EQ(stack_->counters().listen_overflow, 2u);
    stack_->set_accepting(listener_, true);
    deliver(next(kAck));
    EXPECT_TRUE(events(&connection_) & kAccepted);
    end(connection_), poll();
}

TEST_F(OptionsTest, AChosenLocalPortIsUsedOrRefused) {
    Options options;
    options.local_port = 1234;
    Error error;
    Connection* c = stack_->connect(peer_, {}, options, nullptr, now_, &error);
    ASSERT_TRUE(c);
    EXPECT_EQ(expect().source_port, 1234);
    EXPECT_FALSE(stack_->connect(peer_, {}, options, nullptr, now_, &error));
    EXPECT_EQ(error, Error::kNoPorts) << "the tuple is taken";
    end(c);
}

TEST_F(OptionsTest, CopiedWritesShareAnMbuf) {
    accept();
    const unsigned before = rte_mempool_avail_count(test::test_mempool());
    EXPECT_EQ(connection_->write_copy(bytes("one ")), 4u);
    EXPECT_EQ(connection_->write_copy(bytes("two")), 3u);
    EXPECT_EQ(before - rte_mempool_avail_count(test::test_mempool()), 1u);
    EXPECT_EQ(expect().payload, "one two");
    EXPECT_EQ(connection_->write_copy(bytes(" three")), 6u) << "behind bytes that are in flight";
    EXPECT_EQ(expect().payload, " three");
    deliver([&] {
        HeaderFields f = next(kAck);
        f.ack = our_seq_ + 13;
        return f;
    }());
    EXPECT_EQ(connection_->unacknowledged(), 0u);
    EXPECT_EQ(rte_mempool_avail_count(test::test_mempool()), before);
    end(connection_), poll();
}

/// A proxy hands on what a peer sent: single bytes, perhaps, in an mbuf each, while the other end takes nothing.
TEST_F(OptionsTest, SmallTextsBehindOthersShareAnMbuf) {
    accept();
    const unsigned before = rte_mempool_avail_count(test::test_mempool());
    std::string text;
    for (int i = 0; i < 3000; i++) {
        text += static_cast<char>('a' + i % 23);
        SliceQueue one(*nodes_);
        ASSERT_TRUE(one.push_back(test::heap_slice(text.substr(text.size() - 1))));
        ASSERT_TRUE(connection_->write(std::move(one)));
    }
    EXPECT_LE(before - rte_mempool_avail_count(test::test_mempool()), 4u);
    std::string got;
    while (got.size() < text.size()) got += expect().payload;
    EXPECT_EQ(got, text);
    deliver([&] {
        HeaderFields f = next(kAck);
        f.ack = our_seq_ + 3000;
        return f;
    }());
    EXPECT_EQ(connection_->unacknowledged(), 0u);
    EXPECT_EQ(rte_mempool_avail_count(test::test_mempool()), before);
    end(connection_), poll();
}

TEST_F(OptionsTest, CopiedWritesStopAtTheBuffer) {
    Options options;
    options.send_buffer_bytes = 5000;
    accept({}, options);
    EXPECT_EQ(connection_->write_copy(bytes(std::string(8000, 'x'))), 5000u);
    EXPECT_EQ(connection_->write_copy(bytes("y")), 0u);
    options.send_buffer_bytes = 6000;
    connection_->configure(options);
    EXPECT_EQ(connection_->write_copy(bytes(std::string(8000, 'x'))), 1000u);
    end(connection_);
    while (poll()) {
    }
}

TEST_F(OptionsTest, ConfigureSaysNothingUnlessThereIsSomethingToSay) {
    Options options;
    accept({}, options);
    connection_->configure(options);
    expect_silence();
    options.no_delay = false;
    connection_->configure(options);
    write(connection_, "a");
    expect();
    write(connection_, "b");
    expect_silence();
    options.no_delay = true;
    connection_->configure(options);
    EXPECT_EQ(expect().payload, "b") << "what Nagle held";
    options.keepalive_idle = seconds(1);
    connection_->configure(options);
    deliver([&] {
        HeaderFields f = next(kAck);
        f.ack = our_seq_ + 2;
        return f;
    }());
    our_seq_ = our_seq_ + 2;
    advance(milliseconds(1100));
    ASSERT_EQ(sent_.size(), 1u) << "the timer was moved forward";
    EXPECT_EQ(sent_[0].segment.seq, our_seq_ - 1);
    end(connection_), poll();
}

TEST_F(OptionsTest, PoolsAreCounted) {
    accept();
    EXPECT_GE(stack_->bytes_in_use(), sizeof(Tcb));
    end(connection_), poll();
    stack_->close_listener(listener_);
    EXPECT_EQ(stack_->bytes_in_use(), 0u);
}

}  // namespace
}  // namespace sluice::tcp
