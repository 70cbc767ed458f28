// The filters and the change of user, each in a child process of its own: what a gateway does works, what it never does is refused.
// Children end by _exit(0) or say which line failed; nothing here touches the test's own process.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <thread>
#include <vector>

#include "ctrl/control/privileges.h"
#include "ctrl/control/sandbox.h"

namespace sluice::control {
namespace {

// In a child: ends it with the line's number as exit status (never 0).
#define MUST(condition)                                                              \
    do {                                                                             \
        if (!(condition)) {                                                          \
            dprintf(2, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1);                                                                \
        }                                                                            \
    } while (false)
#define MUST_FAIL(call, error) MUST((errno = 0, (call) < 0) && errno == (error))

/// The child's status as waitpid(2) gives it.
int in_child(const std::function<void()>& action) {
    const pid_t child = fork();
    if (child == 0) {
        action();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}
void succeeds(const std::function<void()>& action) {
    const int status = in_child(action);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}
void is_killed(const std::function<void()>& action) {
    const int status = in_child(action);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << "status " << status;
}

void confine() { MUST(confine_process(Seccomp::kEnforce)); }

TEST(Sandbox, AGatewaysOwnCallsWork) {
    succeeds([] {
        char name[] = "/tmp/sluice-sandbox-XXXXXX";
        MUST(mkdtemp(name));
        const std::filesystem::path folder = name;
        confine();
        // Files: written, renamed, synced, listed, removed.
        { std::ofstream(folder / "a.new") << "text"; }
        std::filesystem::rename(folder / "a.new", folder / "a");
        const int fd = open((folder / "a").c_str(), O_RDWR);
        MUST(fd >= 0 && fsync(fd) == 0 && ftruncate(fd, 2) == 0 && close(fd) == 0);
        MUST(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
        MUST(std::filesystem::remove_all(folder) == 2);
        // Threads, which are clone3 for glibc until told otherwise; their memory; their end.
        std::atomic<int> ran{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++) threads.emplace_back([&ran] {
            std::vector<char> big(8 << 20, 'x');
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            ran += big.back() == 'x';
        });
        for (auto& thread : threads) thread.join();
        MUST(ran == 4);
        // The management endpoint's sockets.
        const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
        MUST(tcp >= 0 && local >= 0);
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        MUST(bind(tcp, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && listen(tcp, 1) == 0);
        // Time, signals to itself.
        MUST(time(nullptr) > 0 && raise(0) == 0);
    });
}

TEST(Sandbox, WhatAGatewayNeverCallsIsRefused) {
    succeeds([] {
        confine();
        MUST_FAIL(fork(), EPERM);
        MUST_FAIL(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
        MUST_FAIL(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
        MUST_FAIL(syscall(SYS_bpf, 0, nullptr, 0), EPERM);
        MUST_FAIL(syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0), EPERM);
        MUST_FAIL(syscall(SYS_io_uring_setup, 1, nullptr), EPERM);
        MUST_FAIL(syscall(SYS_userfaultfd, 0), EPERM);
        MUST_FAIL(syscall(SYS_keyctl, 0, 0), EPERM);
        MUST_FAIL(setuid(0), EPERM);
        MUST_FAIL(kill(getppid(), 0), EPERM);
        MUST_FAIL(ioctl(0, 0x5412 /* TIOCSTI */, "x"), EPERM);
        MUST(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
        void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(page != MAP_FAILED);
        MUST_FAIL(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC), EPERM);
        MUST_FAIL(prctl(PR_SET_DUMPABLE, 1), EPERM);
    });
}

TEST(Sandbox, WhatOnlyAnIntruderCallsEndsTheProcess) {
    is_killed([] {
        confine();
        execl("/bin/true", "true", nullptr);
    });
    is_killed([] {
        confine();
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    });
    is_killed([] {
        confine();
        mount("none", "/tmp", "tmpfs", 0, nullptr);
    });
    is_killed([] {
        confine();
        std::thread([] { syscall(SYS_setns, 0, 0); }).join();
    });
}

TEST(Sandbox, ThreadsThatRanBeforeAreConfinedToo) {
    succeeds([] {
        std::atomic<bool> go{false};
        std::atomic<int> result{0};
        std::thread early([&] {
            while (!go) std::this_thread::yield();
            errno = 0;
            result = syscall(SYS_bpf, 0, nullptr, 0) < 0 ? errno : -1;
        });
        confine();
        go = true;
        early.join();
        MUST(result == EPERM);
    });
}

TEST(Sandbox, AWorkerOpensNothing) {
    succeeds([] {
        confine();
        int pipes[2];
        MUST(pipe(pipes) == 0);
        std::thread([&pipes] {
            MUST(confine_worker(Seccomp::kEnforce));
            MUST_FAIL(open("/etc/passwd", O_RDONLY), EPERM);
            MUST_FAIL(socket(AF_INET, SOCK_STREAM, 0), EPERM);
            MUST(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
            // What it does all day.
            MUST(write(pipes[1], "x", 1) == 1);
            char byte;
            MUST(read(pipes[0], &byte, 1) == 1);
            std::vector<char> big(8 << 20, 'x');
            std::this_thread::sleep_for(std::chrono::microseconds(10));
        }).join();
        MUST(open("/etc/passwd", O_RDONLY) >= 0);   // the others still may
    });
    is_killed([] {
        confine();
        std::thread([] {
            MUST(confine_worker(Seccomp::kEnforce));
            execl("/bin/true", "true", nullptr);
        }).join();
    });
}

TEST(Sandbox, LogAllowsAndOffDoesNothing) {
    succeeds([] {
        MUST(confine_process(Seccomp::kLog));
        const pid_t child = fork();
        if (child == 0) _exit(0);
        MUST(child > 0 && waitpid(child, nullptr, 0) == child);
        std::thread([] {}).join();
    });
    succeeds([] {
        MUST(confine_process(Seccomp::kOff));
        MUST(prctl(PR_GET_SECCOMP) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
    });
}

// ---- The user ----

TEST(Privileges, UsersAreFoundByNameAndNumber) {
    EXPECT_EQ(find_user("nobody")->uid, 65534u);
    EXPECT_EQ(find_user("65534")->name, "nobody");
    EXPECT_EQ(find_user("61234")->gid, 61234u) << "a number needs no name";
    const auto missing = find_user("no-such-user");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().find("useradd"), std::string::npos);
}

TEST(Privileges, EveryThreadBecomesTheUser) {
    succeeds([] {
        std::atomic<bool> go{false};
        std::atomic<uid_t> seen{0};
        std::thread early([&] {
            while (!go) std::this_thread::yield();
            seen = static_cast<uid_t>(syscall(SYS_geteuid));
        });
        MUST(become(*find_user("nobody")));
        go = true;
        early.join();
        MUST(seen == 65534 && getuid() == 65534 && getgid() == 65534);
        MUST_FAIL(setresuid(0, 0, 0), EPERM);
        const ProcessState state = process_state();
        MUST(state.user == "nobody" && state.capabilities.empty());
    });
}

TEST(Privileges, OneThreadKeepsOneCapability) {
    succeeds([] {
        Keeper keeper;
        MUST(become(*find_user("nobody")));
        MUST(keeper.settle());
        MUST((process_state().capabilities == std::vector<std::string>{"net_admin"}));
        // Only an administrator of the network may set this option.
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        const int priority = 7;
        MUST_FAIL(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority), EPERM);
        int kept = -1;
        keeper.run([&] { kept = setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority); });
        MUST(kept == 0);
        int uid = -1;
        keeper.run([&] { uid = static_cast<int>(geteuid()); });
        MUST(uid == 65534);
    });
}

TEST(Privileges, NoCoreDumpUnlessAllowed) {
    succeeds([] {
        set_core_dumps(false);
        rlimit core{};
        getrlimit(RLIMIT_CORE, &core);
        MUST(core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 && !process_state().core_dumps);
    });
    succeeds([] {
        rlimit core{RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_CORE, &core);
        MUST(become(*find_user("nobody")));   // which makes it undumpable
        set_core_dumps(true);
        MUST(prctl(PR_GET_DUMPABLE) == 1);
    });
}

TEST(Privileges, DirectoriesAreMadeForTheUser) {
    char name[] = "/tmp/sluice-sandbox-XXXXXX";
    ASSERT_TRUE(mkdtemp(name));
    const std::string made = std::string(name) + "/a/b";
    const User nobody = *find_user("nobody");
    ASSERT_TRUE(make_directory_for(made, nobody));
    struct stat status {};
    ASSERT_EQ(stat(made.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, nobody.uid);
    EXPECT_EQ(status.st_mode & 0777, 0750u);
    ASSERT_EQ(chown(made.c_str(), 0, 0), 0);
    ASSERT_TRUE(make_directory_for(made, nobody)) << "there already";
    ASSERT_EQ(stat(made.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 0u) << "left as it is";
    std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace sluice::control
