// What each command does. In: a client, the output form, the command's own options. Out: text, and an exit code: 0 ok,
// 1 degraded or findings, 2 down or usage. Nothing here knows the command line.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "base/time.h"
#include "ctrl/sluicectl/client.h"

namespace sluice::ctl {

enum class Form { kTable, kWide, kJson, kYaml };

struct Context {
    Client client;
    Form form = Form::kTable;
    std::ostream& out;
    std::ostream& err;
    /// Pauses; tests replace it.
    std::function<void(Duration)> sleep;
    /// Monotonic time, for deadlines and rates; tests replace it.
    std::function<Instant()> now;
};

/// Prints the one line of a failure; returns its exit code.
int fail(const Context& context, const Failure& failure);
/// True if the form is JSON or YAML, which is then written.
bool write_data(const Context& context, const Json& json);

int status(const Context& context);
int config_show(const Context& context);

using Filters = std::map<std::string, std::string>;   // host, port
int listeners(const Context& context, const Filters& filters);
int routes(const Context& context, const Filters& filters);
int clusters(const Context& context, const Filters& filters);
int endpoints(const Context& context, const Filters& filters);
int secrets(const Context& context, const Filters& filters);

int runtime(const Context& context, Duration interval);
/// `count` 0: until q, or for ever.
int top(const Context& context, Duration interval, uint64_t count);
/// `delta` zero: since the gateway started. `all`: also reasons that were never seen.
int drops(const Context& context, Duration delta, bool all);

int connections_list(const Context& context, const Filters& filters);
int connections_show(const Context& context, const std::string& id);
/// Looks for at most `wait` whether it is gone.
int connections_close(const Context& context, const std::string& id, bool reset, Duration wait);

struct CaptureOptions {
    std::vector<std::string> ports;
    std::string connection, filter, file;   // file empty or "-": stdout
    uint64_t snap_bytes = 0, frames_max = 0;
    Duration duration;                      // 0: no end
};
int capture(const Context& context, const CaptureOptions& options);

/// `delta` zero: the counters as they are.
int stats(const Context& context, const std::string& filter, Duration delta);

int wait_ready(const Context& context, Duration timeout);
int wait_revision(const Context& context, uint64_t revision, Duration timeout);
/// `wait` above zero: until nothing is under way any more.
int drain(const Context& context, bool on, Duration wait);
int drain_endpoint(const Context& context, const std::string& endpoint, bool on, bool force, Duration wait);
/// Looks this machine over for the gateway that `config` describes.
int doctor(const Context& context, const std::string& config);
/// filters: flags, status, host, path, history, follow.
int log_tail(const Context& context, const Filters& filters);
int log_reopen(const Context& context);
int log_level(const Context& context, const std::string& level);

}  // namespace sluice::ctl
