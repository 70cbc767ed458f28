// Which system calls the process may make once its ports are open: a list of those that a gateway makes (sandbox.cc), measured.
// In: a mode. Out: a filter in the kernel, on every thread; a shorter list on each worker. It can be narrowed, never taken off.
// What is not on the list fails with EPERM and is told to the kernel's log; what only an intruder would call ends the process.
// seccomp(2) by libseccomp, which also sets no_new_privs(2).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sluice::control {

enum class Seccomp : uint8_t { kEnforce, kLog, kOff };
const char* to_string(Seccomp mode);

/// For all threads that there are, and those that they start.
Result<void> confine_process(Seccomp mode);
/// For the calling thread, a worker about to poll: it opens nothing, maps nothing executable, starts nothing.
Result<void> confine_worker(Seccomp mode);

}  // namespace sluice::control
