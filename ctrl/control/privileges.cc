// libcap-ng for capabilities, glibc for users (see privileges.h). Order matters: groups, then user, then what is left.
#include "ctrl/control/privileges.h"

#include <cap-ng.h>
#include <fmt/format.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sluice::control {

namespace {

std::string name_of(uid_t uid) {
    const passwd* entry = getpwuid(uid);
    return entry ? entry->pw_name : std::to_string(uid);
}

/// CapPrm of one thread: what it can use or raise.
uint64_t permitted_of(const std::filesystem::path& task) {
    std::ifstream status(task / "status");
    std::string line;
    uint64_t mask = 0;
    while (std::getline(status, line))
        if (line.starts_with("CapPrm:")) {
            const size_t at = line.find_first_not_of(" \t", 7);
            std::from_chars(line.data() + at, line.data() + line.size(), mask, 16);
        }
    return mask;
}

}  // namespace

Result<User> find_user(const std::string& name) {
    uid_t uid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), uid);
    const bool number = error == std::errc{} && end == name.data() + name.size();
    errno = 0;
    const passwd* entry = number ? getpwuid(uid) : getpwnam(name.c_str());
    if (entry) return User{entry->pw_name, entry->pw_uid, entry->pw_gid};
    if (number) return User{name, uid, uid};
    return unexpected(fmt::format("process.user: there is no user {}: `useradd --system --no-create-home --shell /usr/sbin/nologin {}`, or name another",
                                  name, name));
}

ProcessState process_state() {
    ProcessState state;
    state.user = name_of(geteuid());
    uint64_t permitted = 0;
    std::error_code ignored;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored)) permitted |= permitted_of(task.path());
    uint64_t all = 0;
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++) all |= uint64_t{1} << capability;
    if ((permitted & all) == all) {
        state.capabilities = {"all"};
    } else {
        for (unsigned capability = 0; capability < 64; capability++)
            if (permitted >> capability & 1) {
                const char* name = capng_capability_to_name(capability);
                state.capabilities.push_back(name ? name : std::to_string(capability));
            }
    }
    rlimit core{};
    getrlimit(RLIMIT_CORE, &core);
    state.core_dumps = core.rlim_cur != 0 && prctl(PR_GET_DUMPABLE) == 1;
    return state;
}

Result<void> make_directory_for(const std::string& path, const User& user) {
    std::error_code error;
    if (path.empty() || std::filesystem::exists(path, error)) return {};
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (mkdir(path.c_str(), 0750) != 0 || chown(path.c_str(), user.uid, user.gid) != 0)
        return unexpected(fmt::format("{}: cannot be made for user {}: {}", path, user.name, std::strerror(errno)));
    return {};
}

Result<void> become(const User& user) {
    const auto failed = [&](const char* what) {
        const char* cure = errno == EPERM ? ": start as root, or leave process.user out" : "";
        return unexpected(fmt::format("process.user: cannot become {}: {}: {}{}", user.name, what, std::strerror(errno), cure));
    };
    if (geteuid() == user.uid && getuid() == user.uid) return {};
    if (initgroups(user.name.c_str(), user.gid) != 0) return failed("groups");
    if (setresgid(user.gid, user.gid, user.gid) != 0) return failed("group");
    if (setresuid(user.uid, user.uid, user.uid) != 0) return failed("user");
    // The way back must be closed; if it is not, nothing of this can be trusted.
    if (user.uid != 0 && (setresuid(0, 0, 0) == 0 || geteuid() != user.uid))
        return unexpected(fmt::format("process.user: root could be had again after becoming {}", user.name));
    return {};
}

void set_core_dumps(bool allowed) {
    rlimit core{};
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = allowed ? core.rlim_max : 0;
    if (!allowed) core.rlim_max = 0;
    setrlimit(RLIMIT_CORE, &core);
    prctl(PR_SET_DUMPABLE, allowed ? 1 : 0, 0, 0, 0);
}

Keeper::Keeper() {
    thread_ = std::thread([this] { thread_main(); });
    run([] { prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); });
}

Keeper::~Keeper() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

Result<void> Keeper::settle() {
    int failed = 0;
    run([&failed] {
        capng_clear(CAPNG_SELECT_BOTH);
        capng_updatev(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN, -1);
        failed = capng_apply(CAPNG_SELECT_CAPS);
    });
    if (failed != 0) return unexpected(std::string("CAP_NET_ADMIN cannot be kept: start as root, or with that capability"));
    return {};
}

void Keeper::run(const std::function<void()>& action) {
    const std::lock_guard one(callers_);
    std::unique_lock lock(mutex_);
    action_ = &action;
    wake_.notify_one();
    done_.wait(lock, [this] { return action_ == nullptr; });
}

void Keeper::thread_main() {
    pthread_setname_np(pthread_self(), "sluice-keeper");
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);   // signals are the control thread's
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return action_ != nullptr || stop_; });
        if (action_ == nullptr) return;
        (*action_)();
        action_ = nullptr;
        done_.notify_one();
    }
}

}  // namespace sluice::control
