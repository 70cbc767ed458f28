// Handshakes and records between TCP and HTTP, for generator and backend (see link.h).
// In and out: see the header. Tickets are passed over: no connection here is resumed.
#include "perf/load_generator/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

namespace sluice::perf {

namespace {

constexpr const char* kSuite = "TLS_AES_128_GCM_SHA256";

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

tls::CertificateSource source(const std::string& folder, const std::string& name) {
    return {read_file(folder + "/" + name + ".crt"), read_file(folder + "/" + name + ".key"), {}, name};
}

tls::Parameters parameters() {
    tls::Parameters p;
    p.min_version = tls::Version::kTls13;
    p.cipher_suites = {kSuite};
    p.groups = {"X25519"};
    return p;
}

}  // namespace

std::expected<TlsContexts, std::string> read_contexts(const std::string& folder, const std::string& server_name) {
    const int64_t now_s = std::time(nullptr);
    const std::string roots = read_file(folder + "/ca.crt");
    tls::ClientOptions client;
    client.certificates = {source(folder, "client")};
    client.parameters = parameters();
    client.verification.trusted_ca_pem = roots;
    client.sessions_max = 0;
    tls::ServerOptions server;
    server.certificates = {source(folder, "backend")};
    server.parameters = parameters();
    server.client_certificate = tls::ServerOptions::ClientCertificate::kRequired;
    server.verification.trusted_ca_pem = roots;
    TlsContexts out;
    auto made_client = tls::ClientContext::create(std::move(client), now_s);
    if (!made_client) return std::unexpected(made_client.error().what);
    auto made_server = tls::ServerContext::create(std::move(server), now_s);
    if (!made_server) return std::unexpected(made_server.error().what);
    out.client = std::move(*made_client), out.server = std::move(*made_server);
    out.peer.sni = server_name;
    return out;
}

TlsCore::TlsCore(worker::Worker& w, const TlsContexts& c, uint32_t connections_max)
    : contexts(c), worker(w), threads({.threads = 0, .cores = 1, .cpus = {}, .name = "load-tls"}),
      handshaker(threads, 0, {.handshakes_max = connections_max, .bytes_max = 128 * 1024, .queued_max = connections_max}),
      engine(w.pool(), w.nodes(), 2 * connections_max) {}

Link::~Link() {
    if (!handshake_) return;
    if (records_) core_->handshaker.finish(*handshake_);
    else core_->handshaker.cancel(*handshake_);
}

bool Link::begin(tcp::Connection& connection, tls::Role role) {
    connection_ = &connection;
    if (!core_) return true;
    tls::Handshaker& shaker = core_->handshaker;
    handshake_ = role == tls::Role::kServer ? shaker.start_server(core_->contexts.server, *this)
                                            : shaker.start_client(core_->contexts.client, core_->contexts.peer, connection.tuple().remote, *this);
    if (!handshake_) connection.abort();
    else if (!connection.receive_queue().empty()) (void)receive();
    return false;
}

bool Link::receive() {
    if (!core_) return true;
    SliceQueue& raw = connection_->receive_queue();
    const uint64_t before = raw.bytes();
    if (!records_) {
        if (handshake_ && before > 0) core_->handshaker.feed(*handshake_, raw);
        raw.clear();
        if (before > 0) connection_->consumed(before);
        return true;
    }
    return open_records();
}

bool Link::open_records() {
    SliceQueue& raw = connection_->receive_queue();
    const uint64_t before = raw.bytes();
    tls::Records::Status status;
    while ((status = records_->open(raw, plain_, UINT64_MAX)) == tls::Records::Status::kPostHandshake) {
    }
    uint64_t taken = before - raw.bytes();
    const uint64_t earlier = std::min(taken, given_back_);
    given_back_ -= earlier, taken -= earlier;
    if (taken > 0) connection_->consumed(taken);
    send_control();
    return status == tls::Records::Status::kOk;
}

bool Link::write(SliceQueue&& bytes, Instant now) {
    if (!core_) return connection_->write(std::move(bytes));
    SliceQueue out(nodes_);
    const bool sealed = records_ && records_->seal(bytes, out, now);
    if (!sealed) bytes.clear();
    return (out.empty() || connection_->write(std::move(out))) && sealed;
}

bool Link::write_copy(std::span<const uint8_t> bytes, Instant now) {
    if (!core_) return connection_->write_copy(bytes) == bytes.size();
    rte_mbuf* const m = rte_pktmbuf_alloc(core_->worker.pool());
    if (!m || bytes.size() > rte_pktmbuf_tailroom(m)) {
        rte_pktmbuf_free(m);
        return false;
    }
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
    return sealing_.push_back(Slice(m, m->data_off, static_cast<uint32_t>(bytes.size()))) && write(std::move(sealing_), now);
}

void Link::send_control() {
    if (!records_->has_control()) return;
    SliceQueue out(nodes_);
    (void)records_->take_control(out);
    if (!out.empty()) (void)connection_->write(std::move(out));
}

void Link::shutdown(tcp::Connection& connection) {
    if (records_) {
        records_->close_notify();
        send_control();
    }
    connection.shutdown_write();
}

void Link::on_handshake_bytes(std::span<const uint8_t> bytes, Instant) {
    if (connection_->write_copy(bytes) != bytes.size()) connection_->abort();
}

void Link::on_handshake_done(tls::HandshakeResult&& result, bool take_tickets, Instant now) {
    if (result.keys.aead == tls::Aead::kNone) return on_handshake_failed(tls::Failure::kNoCipher, tls::Alert::kCloseNotify, "not AES-GCM", now);
    if (take_tickets) core_->handshaker.finish(*handshake_);
    handshake_ = nullptr;
    records_.emplace(core_->engine, result.keys);
    if (!result.leftover.empty()) {   // before what came since
        SliceQueue joined(nodes_);
        rte_mbuf* const m = rte_pktmbuf_alloc(core_->worker.pool());
        if (!m || result.leftover.size() > rte_pktmbuf_tailroom(m)) {
            rte_pktmbuf_free(m);
            connection_->abort();
            return;
        }
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(result.leftover.size())), result.leftover.data(), result.leftover.size());
        (void)joined.push_back(Slice(m, m->data_off, static_cast<uint32_t>(result.leftover.size())));
        SliceQueue& raw = connection_->receive_queue();
        given_back_ = result.leftover.size();
        joined.append(std::move(raw));
        raw.append(std::move(joined));
    }
    if (!connection_->receive_queue().empty()) (void)open_records();
    user_.on_link(*connection_, true, now);
}

void Link::on_handshake_failed(tls::Failure failure, tls::Alert, std::string_view reason, Instant now) {
    handshake_ = nullptr;
    std::fprintf(stderr, "TLS handshake with %s: %s: %.*s\n", connection_->tuple().remote.to_string().c_str(), tls::to_string(failure), static_cast<int>(reason.size()),
                 reason.data());
    user_.on_link(*connection_, false, now);
}

}  // namespace sluice::perf
