// doctor: findings of ctrl/doctor about this machine, and the running gateway's own, in one list, worst last word by exit code.
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/doctor/doctor.h"
#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

using doctor::Finding;
using doctor::Findings;
using doctor::Level;

const char* word(Level level) { return level == Level::kOk ? "ok" : level == Level::kWarn ? "warn" : "FAIL"; }

/// What is wrong with the file itself: without it only the file can be talked about.
void add_file(const std::vector<Diagnostic>& diagnostics, Findings& out) {
    for (const Diagnostic& d : diagnostics) {
        const std::string place = d.line ? fmt::format("{}:{}:{}: ", d.file, d.line, d.column) : d.file + ": ";
        const std::string field = d.field.empty() ? "" : d.field + ": ";
        out.push_back({d.severity == Severity::kError ? Level::kFail : Level::kWarn, "config", fmt::format("{}{} {}{}", place, d.code, field, d.message), d.cure});
    }
}

/// Asked by its socket; silence is no finding, a gateway need not run to be prepared for.
void add_gateway(const std::string& socket, bool runs, Findings& out) {
    const Client client(socket);
    const auto s = client.get("/v1/status");
    if (!s) {
        if (runs) out.push_back({Level::kWarn, "gateway", fmt::format("a sluiced runs, and {} does not answer", socket), "sudo sluicectl --target SOCKET doctor"});
        else out.push_back({Level::kOk, "gateway", "none runs here", ""});
        return;
    }
    const std::string state = text_of(*s, "state");
    const Json& refused = child_of(child_of(*s, "config"), "refused");
    if (state != "serving") out.push_back({Level::kWarn, "gateway", state, "sluicectl status"});
    else if (!refused.is_null()) out.push_back({Level::kWarn, "gateway", "serves an older revision; the newest was refused", "sluicectl config show"});
    else out.push_back({Level::kOk, "gateway", "serving", ""});
    const Json& process = child_of(*s, "process");
    if (process.is_null()) return;
    if (text_of(process, "user") == "root") out.push_back({Level::kWarn, "gateway", "runs as root", "process: {user: sluice} in its file"});
    if (text_of(process, "seccomp") != "enforce") out.push_back({Level::kWarn, "gateway", fmt::format("seccomp {}", text_of(process, "seccomp")), "process: {seccomp: enforce} in its file"});
}

Json to_json(const Findings& findings, const std::string& config) {
    Json list = Json::array();
    size_t ok = 0, warn = 0, fail = 0;
    for (const Finding& f : findings) {
        (f.level == Level::kOk ? ok : f.level == Level::kWarn ? warn : fail)++;
        list.push_back({{"level", f.level == Level::kFail ? "fail" : word(f.level)}, {"subject", f.subject}, {"message", f.message}, {"cure", f.cure}});
    }
    return {{"config", config}, {"ok", ok}, {"warnings", warn}, {"failures", fail}, {"findings", std::move(list)}};
}

}  // namespace

int doctor(const Context& c, const std::string& config) {
    Findings findings;
    auto reading = host::read_file(config);
    add_file(reading.diagnostics, findings);
    if (reading.host) {
        findings.push_back({Level::kOk, "config", fmt::format("{} is good", config), ""});
        const doctor::Machine machine;
        const doctor::Patient patient{machine, *reading.host, doctor::running_gateway(machine)};
        std::ranges::move(doctor::examine(patient), std::back_inserter(findings));
        add_gateway(reading.host->admin.socket, patient.pid.has_value(), findings);
    }
    Level worst = Level::kOk;
    size_t width = 0;
    for (const Finding& f : findings) worst = std::max(worst, f.level), width = std::max(width, f.subject.size());
    const int code = worst == Level::kOk ? 0 : worst == Level::kWarn ? 1 : 2;
    if (write_data(c, to_json(findings, config))) return code;
    for (const Finding& f : findings)
        c.out << fmt::format("{:<4}  {:<{}}  {}{}\n", word(f.level), printable(f.subject), width, printable(f.message),
                             f.cure.empty() ? "" : ": " + printable(f.cure));
    return code;
}

}  // namespace sluice::ctl
