// Who the gateway is, and how it shakes hands: the identity and tls sections of its file.
// In: their maps. Out: an Identity and a Tls, and findings. Paths that are relative count from the file's own directory.
#include "ctrl/host/read_tls.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"

namespace sluice::host {

namespace {

constexpr uint32_t kThreadsMax = 64, kCpuMax = 1023;

void read_cores(Context& context, const Object& o, const Workers& workers, std::vector<uint32_t>& out) {
    const auto items = o.list("handshakeCores");
    for (size_t i = 0; i < items.size(); i++) {
        const std::string path = fmt::format("tls.handshakeCores[{}]", i);
        uint64_t cpu = 0;
        if (!parse_number(items[i], cpu)) context.report(items[i], "SLC0005", path, fmt::format("{} where a CPU number is wanted", kind_of(items[i])));
        else if (cpu > kCpuMax) context.report(items[i], "SLC0006", path, fmt::format("{} is out of range", cpu), fmt::format("0 to {}", kCpuMax));
        else if (std::find(workers.cores.begin(), workers.cores.end(), cpu) != workers.cores.end())
            context.report(items[i], "SLC0008", path, fmt::format("CPU {} is a worker's: each handshake would hold up its traffic", cpu),
                           "another CPU; without handshakeCores any but the workers' is taken");
        else out.push_back(static_cast<uint32_t>(cpu));
    }
}

void read_duration(const Object& o, std::string_view field, Duration& value) {
    std::string text;
    if (!o.scalar(field, text)) return;
    const auto duration = parse_duration(text);
    if (!duration) o.wrong(field, fmt::format("`{}` is not a duration", text.substr(0, 80)), "a number with its unit: 30m, 12h");
    else if (*duration < seconds(60) || *duration > seconds(7 * 24 * 3600)) o.wrong(field, fmt::format("{} is out of range", text), "1m to 168h (RFC 8446: at most 7 days)");
    else value = *duration;
}

}  // namespace

void read_identity(Context& context, const yaml::Node& yaml, Identity& identity) {
    const Object o(context, yaml, "identity", fields::kIdentityObject);
    o.text("certificate", identity.certificate);
    o.text("privateKey", identity.private_key);
    o.text("roots", identity.roots);
    for (const char* field : {"certificate", "privateKey", "roots"})
        if (!o.has(field)) o.missing(field, "identity: {certificate: cert-chain.pem, privateKey: key.pem, roots: root-cert.pem}");
}

void read_tls(Context& context, const yaml::Node& yaml, const Workers& workers, Tls& tls) {
    const Object o(context, yaml, "tls", fields::kTlsObject);
    o.number("handshakeThreads", tls.handshake_threads, 0, kThreadsMax);
    read_cores(context, o, workers, tls.handshake_cores);
    if (!tls.handshake_cores.empty() && tls.handshake_threads == 0)
        o.wrong("handshakeCores", "cores for no thread: with handshakeThreads 0 the workers shake hands", "remove one of the two").code = "SLC0008";
    o.text("keyLog", tls.key_log);
    if (!tls.key_log.empty()) {
        if (!tls.key_log.starts_with('/')) o.wrong("keyLog", "not an absolute path", "keyLog: /var/lib/sluice/keys.log");
        Diagnostic& d = o.wrong("keyLog", "whoever reads this file can read all TLS traffic", "for debugging only: remove it afterwards");
        d.code = "SLC0146", d.severity = Severity::kWarning;
    }
    if (const auto* keys = o.find("ticketKeys")) {
        const Object tickets(context, *keys, "tls.ticketKeys", fields::kTicketKeysObject);
        read_duration(tickets, "rotateEvery", tls.ticket_rotate);
        read_duration(tickets, "lifetime", tls.ticket_lifetime);
        tickets.boolean("enabled", tls.tickets);
        if (tls.ticket_lifetime < tls.ticket_rotate) tickets.wrong("lifetime", "shorter than rotateEvery", "rotateEvery: 12h, lifetime: 24h").code = "SLC0008";
    }
}

}  // namespace sluice::host
