/* What a hostile simulation needs beside tcp_harness.h, of the same stack in the same library: memory that runs out, a port that
 * computes checksums and cuts long frames, which of thousands of sockets have news, and whether what lies inside is in bounds.
 *
 * Not for anybody who plays packets against the stack; docs/decisions/0065-the-simulation-uses-the-library.md says why it exists.
 * The stack that sluice_tcp_create() makes is used and destroyed by the calls of tcp_harness.h.
 */
#ifndef SLUICE_TCP_SIM_H
#define SLUICE_TCP_SIM_H

#include "tests/harness/tcp_harness.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_tcp_extra {
    uint32_t size;                  /* sizeof(struct sluice_tcp_extra) */
    /* In one of so many steps (a packet taken, a timer run, output made) pools are empty after a few objects, or the mbuf pool;
     * 0: never. When, is decided by th_config.seed. Socket calls themselves find memory. */
    uint32_t objects_fail_every, mbufs_fail_every;
    /* The port: finishes TCP checksums, takes frames of several mbufs, cuts long frames; hands packets in as several mbufs. */
    uint8_t tx_checksum, tx_chains, tx_cuts, rx_chains;
    uint8_t ecn_on_request;         /* ECN only if the peer asks (Linux: tcp_ecn = 2); th_config.ecn is then 0 */
    uint32_t buffer_min;            /* SO_RCVBUF and SO_SNDBUF may be set down to this, 0 = 256 */
    uint32_t time_wait_us;          /* 0 = default */
};

/* As th_create; `extra` may be NULL. */
struct th_stack *sluice_tcp_create(const struct th_config *config, const struct sluice_tcp_extra *extra, const char **error);

/* A socket whose th_poll may have changed since it was last named here, or -1: what epoll is to poll. From the first call on; a
 * listener is named when a connection waits in it. */
int sluice_tcp_next_news(struct th_stack *);

/* NULL, or what of the connection behind `fd` is beyond its limit. */
const char *sluice_tcp_check(struct th_stack *, int fd);

struct sluice_tcp_counts {
    uint64_t withheld;              /* steps in which memory ran out */
    uint64_t damaged;               /* segments refused for their checksum or header */
    uint64_t bad_frames;            /* frames that the port could not have sent: must stay 0 */
};
void sluice_tcp_count(const struct th_stack *, struct sluice_tcp_counts *);

#ifdef __cplusplus
}
#endif
#endif
