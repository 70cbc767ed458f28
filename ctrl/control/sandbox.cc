// The lists of system calls (see sandbox.h). By name: one that this libseccomp or machine does not know is left out.
// glibc's own calls (rseq, clone3, futex) are part of the contract: tests/ctrl/sandbox_test.cc runs its threads, malloc, stdio and
// resolver under both lists.
#include "ctrl/control/sandbox.h"

#include <fmt/format.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

namespace sluice::control {

namespace {

using Names = std::span<const char* const>;

/// Any thread, workers too: bytes on descriptors that are open, memory, time, locks, the thread's own end.
constexpr const char* kEveryone[] = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "fstat", "newfstatat", "statx", "fcntl",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "getsockopt", "setsockopt", "getsockname", "getpeername",
    "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",
    "munmap", "mremap", "madvise", "brk", "membarrier", "mincore",
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "sched_yield", "getcpu", "sched_getaffinity",
    "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "restart_syscall",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrandom", "getrusage", "times",
    "exit", "exit_group"};

/// The control thread and its helpers: files and directories of configuration, state and logs; sockets of operators and exporters.
constexpr const char* kControl[] = {
    "open", "openat", "openat2", "access", "faccessat", "faccessat2", "stat", "lstat", "readlink", "readlinkat", "getcwd", "chdir",
    "getdents", "getdents64", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
    "unlinkat", "rmdir", "ftruncate", "truncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "syncfs", "flock", "fchmod", "chmod", "fchown", "fchownat",
    "fchmodat", "utimensat", "umask", "statfs", "fstatfs", "fadvise64", "sendfile", "copy_file_range", "splice", "memfd_create", "fgetxattr",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    "bind", "listen", "accept", "accept4", "connect", "shutdown",
    "dup", "dup2", "dup3", "pipe", "pipe2", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4",
    "epoll_create", "epoll_create1", "select", "pselect6",
    "mlock", "mlock2", "munlock", "set_tid_address", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_setscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "getpriority", "setpriority", "getrlimit", "prlimit64", "getresuid", "getresgid", "getgroups",
    "uname", "sysinfo", "capget", "capset", "seccomp", "rt_sigtimedwait", "rt_sigpending", "rt_sigsuspend", "rt_sigqueueinfo",
    "timer_create", "timer_settime", "timer_delete"};

/// Nothing of ours ever calls these after start. A process that does is no longer ours.
constexpr const char* kFatal[] = {
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_by_handle_at", "reboot", "swapon"};

/// `requests` of ioctl that drivers and libraries of a running gateway make: whole families, by the byte that names them.
constexpr uint64_t kIoctlFamilies[] = {0x89 /* interfaces: asked about by all, changed by the keeper alone */, 0x3b /* vfio */, 0xaf /* vhost */};
constexpr uint64_t kIoctls[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TUNSETIFF, TUNGETIFF};

class Filter {
 public:
    explicit Filter(uint32_t otherwise) : context_(seccomp_init(otherwise), seccomp_release) {
        if (!context_) error_ = ENOMEM;
    }
    void add(uint32_t action, Names names) {
        for (const char* name : names) add(action, name);
    }
    void add(uint32_t action, const char* name) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR) keep(seccomp_rule_add(context_.get(), action, number, 0));
    }
    template <typename... Comparisons>
    void add_if(uint32_t action, const char* name, Comparisons... comparisons) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR) keep(seccomp_rule_add(context_.get(), action, number, sizeof...(comparisons), comparisons...));
    }
    Result<void> load(bool every_thread) {
        if (every_thread) keep(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
        keep(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_LOG, 1));
        // A tree instead of a list: the filter runs on every system call of a software port.
        seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (error_ == 0) keep(seccomp_load(context_.get()));
        if (error_ == 0) return {};
        return unexpected(fmt::format("the seccomp filter cannot be loaded: {}: `process: {{seccomp: off}}` runs without", std::strerror(error_)));
    }

 private:
    void keep(int result) {
        // A rule that repeats the filter's own action is refused by the library and changes nothing.
        if (result < 0 && result != -EACCES && result != -EEXIST && error_ == 0) error_ = -result;
    }
    std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
    int error_ = 0;
};

/// In mode `log` everything is allowed and told.
uint32_t refuse(Seccomp mode) { return mode == Seccomp::kLog ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM); }
uint32_t kill(Seccomp mode) { return mode == Seccomp::kLog ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS; }

/// What both lists allow by its arguments: signals to itself, memory that is not to be run.
void add_common(Filter& filter, bool executable) {
    filter.add(SCMP_ACT_ALLOW, kEveryone);
    filter.add_if(SCMP_ACT_ALLOW, "tgkill", SCMP_A0_64(SCMP_CMP_EQ, static_cast<uint64_t>(getpid())));
    for (const uint64_t request : kIoctls) filter.add_if(SCMP_ACT_ALLOW, "ioctl", SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffff, request & 0xffffffff));
    for (const uint64_t family : kIoctlFamilies) filter.add_if(SCMP_ACT_ALLOW, "ioctl", SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xff00, family << 8));
    for (const char* call : {"mmap", "mprotect"}) {
        filter.add_if(SCMP_ACT_ALLOW, call, SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        // Libraries that load others (OpenSSL, NSS) map code; writable code is nobody's.
        if (executable) filter.add_if(SCMP_ACT_ALLOW, call, SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC));
    }
}

void add_control(Filter& filter, Seccomp mode) {
    filter.add(SCMP_ACT_ALLOW, kControl);
    filter.add_if(SCMP_ACT_ALLOW, "prctl", SCMP_A0_64(SCMP_CMP_NE, 4 /* PR_SET_DUMPABLE */));
    // Threads, not processes. clone3 hides its flags behind a pointer: glibc takes ENOSYS for an answer and uses clone.
    filter.add_if(SCMP_ACT_ALLOW, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    filter.add(mode == Seccomp::kLog ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS), "clone3");
    for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
        filter.add_if(SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, static_cast<uint64_t>(family)));
    filter.add_if(SCMP_ACT_ALLOW, "socketpair", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX));
}

}  // namespace

const char* to_string(Seccomp mode) {
    switch (mode) {
        case Seccomp::kEnforce: return "enforce";
        case Seccomp::kLog: return "log";
        case Seccomp::kOff: break;
    }
    return "off";
}

Result<void> confine_process(Seccomp mode) {
    if (mode == Seccomp::kOff) return {};
    Filter filter(refuse(mode));
    add_common(filter, true);
    add_control(filter, mode);
    filter.add(kill(mode), kFatal);
    return filter.load(true);
}

Result<void> confine_worker(Seccomp mode) {
    if (mode == Seccomp::kOff) return {};
    Filter filter(refuse(mode));
    add_common(filter, false);
    // Its name and its timer slack; not the process's dumpability.
    filter.add_if(SCMP_ACT_ALLOW, "prctl", SCMP_A0_64(SCMP_CMP_EQ, 15 /* PR_SET_NAME */));
    filter.add_if(SCMP_ACT_ALLOW, "prctl", SCMP_A0_64(SCMP_CMP_EQ, 29 /* PR_SET_TIMERSLACK */));
    filter.add(kill(mode), kFatal);
    return filter.load(false);
}

}  // namespace sluice::control
