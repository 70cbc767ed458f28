// The ends of a simulated TLS world, in plain text: HTTP/1.1 clients with known bodies, and the server that answers them.
// In: events of their TCP connections. Out: requests and answers, each byte of a body known from its key, and complaints.
// They own what they want to send; connections belong to their machine's stack.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/support/tcp_host.h"

namespace sluice::sim {

/// One HTTP/1.1 message at the front of a byte stream, as far as it is there.
struct Message {
    bool has_head = false, complete = false;
    std::string head, body;                  // the body so far
    size_t bytes = 0;                        // of the whole message, once complete
};
Message read_message(const std::string& text);

/// `size` bytes that belong to `key`.
std::string body_text(uint64_t key, uint64_t size);
/// A head's last lines and the body. `mode`: 0 with its length, 1 in chunks, 2 until the connection's end.
std::string framed(const std::string& body, int mode, Rng& rng);

/// Bytes that wait for room in a connection.
struct Outgoing {
    std::string text;
    size_t at = 0;
    bool empty() const { return at == text.size(); }
    void push(tcp::Connection& connection, SliceNodePool& nodes);
};
std::string read_all(tcp::Connection& connection);

struct Exchange {
    uint64_t key, up, down;
    int mode_up, mode_down;
    bool abort;                              // the client resets it when some of its answer is here
};

struct ClientEnd {
    std::vector<Exchange> exchanges;
    size_t current = 0;                      // the one that is sent next or awaited
    uint64_t answered = 0, failed = 0, aborted = 0;
    bool asked = false;
    std::string in;
    Outgoing out;
    tcp::Connection* connection = nullptr;
    bool done() const { return current == exchanges.size(); }

    /// After an event: reads, judges, asks the next. Empty, or what went wrong. `trouble`: a request may fail.
    std::string serve(uint16_t events, test::Host& host, bool trouble, Rng& rng);

 private:
    std::string judge(bool trouble, bool ended);
    void ask(Rng& rng);
    void leave(bool reset);
};

struct ServerEnd {
    std::string in;
    Outgoing out;
    bool close_after = false;
    /// One request for each complete one; `served` are their keys.
    std::string serve(tcp::Connection& connection, uint16_t events, test::Host& host, double aborts, bool trouble, Rng& rng,
                      std::vector<uint64_t>& served, bool& gone);
};

}  // namespace sluice::sim
