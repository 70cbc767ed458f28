/* The header as C sees it: this file must compile, and its stack must live. */
#include "tests/harness/tcp_harness.h"

int plain_c_makes_a_stack(void);

int plain_c_makes_a_stack(void) {
    const char *error = 0;
    struct th_config config = {.size = sizeof config, .ipv4 = "192.0.2.1/24", .max_sockets = 4};
    struct th_usage usage;
    struct th_stack *stack = th_create(&config, &error);
    if (!stack) return -1;
    const int fd = th_socket(stack, AF_INET);
    th_usage(stack, &usage);
    th_destroy(stack);
    return usage.connections == 0 ? fd : -2;
}
