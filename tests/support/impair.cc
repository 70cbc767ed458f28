// impair: a wire that loses, delays, reorders, duplicates and corrupts frames, repeatable by its seed. It bridges two
// interfaces by raw sockets (these kernels have no sch_netem). In: two interface names and odds in per cent. Out: frames;
// counts on SIGTERM. Usage: impair --a IF --b IF --seed N [--loss 1] [--duplicate 1] [--reorder 2] [--corrupt 0.5]
//                                  [--delay-us 2000] [--jitter-us 500] [--rate-mbit 1000 [--queue-kib 512]] [--vlan N]
// A rate holds for each direction on its own; what finds the queue before it full is lost.
// With --vlan it is a switch, too: a is a trunk where frames carry the 802.1Q tag N, b an access port of that VLAN.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace {

volatile sig_atomic_t stopping = 0;

uint64_t now_us() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
}

int open_raw(const char* interface) {
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    if (fd < 0 || address.sll_ifindex == 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        std::fprintf(stderr, "impair: cannot open %s: %s\n", interface, std::strerror(errno));
        std::exit(2);
    }
    const int on = 1, buffer = 16 << 20;
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    packet_mreq all{};
    all.mr_ifindex = address.sll_ifindex;
    all.mr_type = PACKET_MR_PROMISC;
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
    return fd;
}

/// One frame into `bytes`; 0: none. `tag` is that of its 802.1Q header, -1 without; the kernel takes the header off and tells apart.
size_t receive(int fd, std::vector<uint8_t>& bytes, int& tag) {
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[256];
    msghdr message{};
    message.msg_iov = &data, message.msg_iovlen = 1;
    message.msg_control = control, message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(fd, &message, 0);
    tag = -1;
    if (got <= 0) return 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
        tpacket_auxdata aux;
        std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if (aux.tp_status & TP_STATUS_VLAN_VALID) tag = aux.tp_vlan_tci & 0xfff;
    }
    return static_cast<size_t>(got);
}

std::vector<uint8_t> tagged(std::vector<uint8_t> frame, int vlan) {
    const uint8_t header[4] = {0x81, 0x00, static_cast<uint8_t>(vlan >> 8), static_cast<uint8_t>(vlan)};
    frame.insert(frame.begin() + 12, header, header + 4);
    return frame;
}

struct Frame {
    uint64_t due_us;
    uint64_t number;    // breaks ties: equal due times keep their order
    int to;
    std::vector<uint8_t> bytes;
    bool operator<(const Frame& o) const { return due_us != o.due_us ? due_us > o.due_us : number > o.number; }
};

struct Wire {
    double loss = 0, duplicate = 0, reorder = 0, corrupt = 0;   // per cent
    uint64_t delay_us = 0, jitter_us = 0;
    double rate_mbit = 0, queue_kib = 512;
    std::mt19937_64 random;
    std::priority_queue<Frame> queue;
    uint64_t number = 0, frames = 0, lost = 0, overflowed = 0, duplicated = 0, reordered = 0, corrupted = 0;
    uint64_t last_due_us[2] = {};
    double sent_at_us[2] = {};          // when the last byte so far has passed the rate

    bool chance(double per_cent) { return std::uniform_real_distribution<>(0, 100)(random) < per_cent; }

    /// When a frame has passed the bottleneck; none if its queue is full.
    std::optional<uint64_t> serialized(size_t bytes, int to, uint64_t now) {
        if (rate_mbit <= 0) return now;
        const double begin = std::max(sent_at_us[to], static_cast<double>(now));
        if ((begin - static_cast<double>(now)) * rate_mbit > queue_kib * 8192) return std::nullopt;
        const auto wire_bytes = static_cast<double>(bytes + 24);   // preamble, check sequence, gap
        sent_at_us[to] = begin + wire_bytes * 8 / rate_mbit;
        return static_cast<uint64_t>(sent_at_us[to]);
    }

    void take(std::vector<uint8_t> bytes, int to, uint64_t arrived) {
        frames++;
        const auto passed = serialized(bytes.size(), to, arrived);
        if (!passed) {
            overflowed++;
            return;
        }
        const uint64_t now = *passed;
        if (chance(loss)) {
            lost++;
            return;
        }
        if (bytes.size() > 14 && chance(corrupt)) {   // behind the link header: a checksum must notice
            corrupted++;
            bytes[14 + random() % (bytes.size() - 14)] ^= static_cast<uint8_t>(1 << (random() % 8));
        }
        uint64_t due = now + delay_us + (jitter_us ? random() % jitter_us : 0);
        if (chance(reorder)) {
            reordered++;
            due += 1000 + random() % 4000;   // others overtake it
        } else {
            due = std::max(due, last_due_us[to]);   // jitter alone does not reorder
            last_due_us[to] = due;
        }
        if (chance(duplicate)) {
            duplicated++;
            queue.push({due + random() % 2000, number++, to, bytes});
        }
        queue.push({due, number++, to, std::move(bytes)});
    }
};

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string, std::string> options;
    for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
    const auto number = [&](const char* name) { return options.contains(name) ? std::atof(options[name].c_str()) : 0.0; };
    Wire wire;
    const uint64_t seed = options.contains("--seed") ? std::strtoull(options["--seed"].c_str(), nullptr, 10) : std::random_device{}();
    wire.random.seed(seed);
    wire.loss = number("--loss"), wire.duplicate = number("--duplicate"), wire.reorder = number("--reorder");
    wire.corrupt = number("--corrupt");
    wire.rate_mbit = number("--rate-mbit");
    if (options.contains("--queue-kib")) wire.queue_kib = number("--queue-kib");
    wire.delay_us = static_cast<uint64_t>(number("--delay-us")), wire.jitter_us = static_cast<uint64_t>(number("--jitter-us"));
    const int vlan = static_cast<int>(number("--vlan"));
    uint64_t other_vlan = 0;
    pollfd fds[2] = {{open_raw(options["--a"].c_str()), POLLIN, 0}, {open_raw(options["--b"].c_str()), POLLIN, 0}};
    struct sigaction action{};
    action.sa_handler = [](int) { stopping = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    std::printf("ready seed %lu\n", seed);
    std::fflush(stdout);
    std::vector<uint8_t> buffer(65536);
    while (!stopping) {
        uint64_t now = now_us();
        while (!wire.queue.empty() && wire.queue.top().due_us <= now) {
            const Frame& f = wire.queue.top();
            if (send(fds[f.to].fd, f.bytes.data(), f.bytes.size(), 0) < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
            wire.queue.pop();
        }
        timespec wait{1, 0};
        if (!wire.queue.empty()) {
            const uint64_t due = wire.queue.top().due_us;
            wait = {0, due > now ? static_cast<long>(std::min<uint64_t>(due - now, 999'999) * 1000) : 10'000};
        }
        if (ppoll(fds, 2, &wait, nullptr) < 0) continue;
        now = now_us();
        for (int from = 0; from < 2; from++) {
            for (int n = 0; n < 256; n++) {
                int tag;
                const size_t got = receive(fds[from].fd, buffer, tag);
                if (got == 0) break;
                std::vector<uint8_t> frame(buffer.begin(), buffer.begin() + static_cast<ssize_t>(got));
                if (vlan == 0) {
                    wire.take(tag < 0 ? std::move(frame) : tagged(std::move(frame), tag), 1 - from, now);
                } else if (from == 0 ? tag != vlan : tag >= 0) {
                    other_vlan++;
                } else {
                    wire.take(from == 0 ? std::move(frame) : tagged(std::move(frame), vlan), 1 - from, now);
                }
            }
        }
    }
    std::printf("frames %lu lost %lu overflowed %lu duplicated %lu reordered %lu corrupted %lu other_vlan %lu\n", wire.frames, wire.lost,
                wire.overflowed, wire.duplicated, wire.reordered, wire.corrupted, other_vlan);
    return 0;
}
