// Who the process is once its ports are open: another user, without capabilities, without core dumps.
// In: what the operator's file says. Out: a process that cannot do what it no longer needs, and words about it for the log and
// for `sluicectl status`. One thread, the Keeper, may hold back CAP_NET_ADMIN for what an AF_XDP port or a TAP device needs later.
// setresuid(2) by glibc reaches every thread; capabilities(7) are each thread's own, so threads are started after this.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace sluice::control {

struct User {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
};

/// A user's name or number. Error: one line with its cure.
Result<User> find_user(const std::string& name);

/// What a process is, for people.
struct ProcessState {
    std::string user;                        // sluice; a number where it has no name
    std::vector<std::string> capabilities;   // that any thread can still use, as in "net_admin"; "all" for all of them
    std::string seccomp = "off";             // enforce | log | off
    bool core_dumps = false;
};

/// User and capabilities of the calling process, read from /proc: what is true, not what was asked for.
ProcessState process_state();

/// Made by root before ports are opened, and handed to `user`: what the gateway needs later as that user. One that is there already
/// is left as it is.
Result<void> make_directory_for(const std::string& path, const User& user);

/// Every thread of the process becomes `user` with that user's groups, and loses its capabilities (but see Keeper).
Result<void> become(const User& user);

/// No core dump of a process that holds keys, and no debugger of the same user. `allowed`: both.
void set_core_dumps(bool allowed);

/// Runs what needs CAP_NET_ADMIN on the one thread that keeps it. Made before become(), which takes it from all others.
class Keeper {
 public:
    Keeper();
    ~Keeper();
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// After become(): from here on this thread may use CAP_NET_ADMIN and nothing else.
    Result<void> settle();
    /// Runs `action` on the thread, waits for its end. Any thread, one at a time.
    void run(const std::function<void()>& action);

 private:
    void thread_main();

    std::mutex callers_, mutex_;
    std::condition_variable wake_, done_;
    const std::function<void()>* action_ = nullptr;   // guarded by mutex_
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace sluice::control
