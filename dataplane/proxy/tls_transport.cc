// Handshake, then records: what comes from below goes up opened, what comes from above goes down sealed.
#include "proxy/tls_transport.h"

#include <algorithm>

#include "proxy/core.h"

namespace sluice::proxy {
namespace {

using Status = tls::Records::Status;

/// What may be on its way to a peer for an answer to its key update to be sent at once. Beyond it, answers go with the next data: a
/// peer that asks again and again and reads nothing costs no memory.
constexpr uint64_t kUpdateAnswerInFlight = 1024;

// A record is opened when it is there in full.
static_assert(limits::kStreamBufferBytes / 2 >= 2 * (tls::kRecordHeaderBytes + tls::kCiphertextMax));

constexpr std::string_view kTruncated = "TLS error: the peer closed without close_notify";
constexpr std::string_view kBadRecord = "TLS error: the peer sent a record that is not valid";
constexpr std::string_view kNoBuffer = "TLS error: no packet buffer on this core";

/// Static words for a peer's alert: they outlive whoever reads them.
std::string_view alert_reason(tls::Alert alert) {
    switch (alert) {
        case tls::Alert::kCertificateRequired: return "TLS error: peer alert certificate_required";
        case tls::Alert::kBadCertificate: return "TLS error: peer alert bad_certificate";
        case tls::Alert::kUnsupportedCertificate: return "TLS error: peer alert unsupported_certificate";
        case tls::Alert::kCertificateRevoked: return "TLS error: peer alert certificate_revoked";
        case tls::Alert::kCertificateExpired: return "TLS error: peer alert certificate_expired";
        case tls::Alert::kCertificateUnknown: return "TLS error: peer alert certificate_unknown";
        case tls::Alert::kUnknownCa: return "TLS error: peer alert unknown_ca";
        case tls::Alert::kAccessDenied: return "TLS error: peer alert access_denied";
        case tls::Alert::kHandshakeFailure: return "TLS error: peer alert handshake_failure";
        case tls::Alert::kBadRecordMac: return "TLS error: peer alert bad_record_mac";
        case tls::Alert::kInternalError: return "TLS error: peer alert internal_error";
        default: return "TLS error: peer alert";
    }
}

/// Istio: the first URI of either certificate. One that proves nothing names nobody.
telemetry::Principals::Names principals_of(const TlsInfo& info) {
    constexpr std::string_view kUri = "URI:";
    telemetry::Principals::Names out;
    if (info.local) {
        const auto& sans = info.local->sans;
        const auto uri = std::find_if(sans.begin(), sans.end(), [&](const std::string& san) { return san.starts_with(kUri); });
        if (uri != sans.end()) out.source = std::string_view(*uri).substr(kUri.size());
    }
    if (info.peer->verified && !info.peer->uri_sans.empty()) out.destination = info.peer->uri_sans.front();
    return out;
}

}  // namespace

TlsTransport::TlsTransport(Core& core) : core_(core), plain_(core.nodes) { receive_queue_ = &plain_; }

telemetry::TlsStats& TlsTransport::stats() {
    return role_ == tls::Role::kServer ? core_.stats.listener(owner_id_).tls : core_.stats.cluster(owner_id_).tls;
}

bool TlsTransport::accept(Transport& raw, tls::ServerContextRef context, uint32_t listener_id) {
    owner_id_ = listener_id;
    raw_ = &raw;
    tuple_ = raw.tuple();
    began_ = core_.now;
    server_context_ = std::move(context);
    handshake_ = core_.handshaker.start_server(server_context_, *this);
    if (!handshake_) {
        stats().add_failure(tls::Failure::kTooMany);
        raw_ = nullptr;
        return false;
    }
    raw.set_handler(this);
    feed();
    return true;
}

bool TlsTransport::connect(const Backend& to, TransportHandler& handler, tcp::Error* error) {
    role_ = tls::Role::kClient;
    state_ = State::kConnecting;
    owner_id_ = to.cluster.id;
    transport_socket_ = to.endpoint.transport_socket;
    set_handler(&handler);
    raw_ = core_.network.connect(to.endpoint.address, *this, core_.now, error);
    if (!raw_) return false;
    tuple_ = raw_->tuple();
    cluster_ = snapshot::Pin<upstream::Cluster>(core_.reader.pins(), &to.cluster);
    client_context_ = to.context;
    return true;
}

void TlsTransport::begin_client() {
    state_ = State::kHandshake;
    tuple_ = raw_->tuple();
    began_ = core_.now;
    const upstream::TransportSocket& socket = cluster_->transport_sockets[transport_socket_];
    const bool texts = core_.root && core_.root->backends_texts;
    handshake_ = core_.handshaker.start_client(client_context_, socket.peer, tuple_.remote, *this, texts);
    cluster_.reset();
    if (handshake_) return;
    failure_ = tls::Failure::kTooMany;
    stats().add_failure(failure_);
    broken(tcp::Error::kNoMemory, "TLS error: too many handshakes on this core");
    fail(error_);
}

void TlsTransport::on_transport_events(uint16_t events, Instant now) {
    core_.now = now;
    if (state_ == State::kReleased) return;
    if (events & tcp::kFailed) return on_raw_failed();
    if (state_ == State::kFailed) {   // told; what still comes tells only when the peer is gone
        discard_raw();
        if (!peer_closed_ && raw_->peer_closed()) peer_closed_ = true, tell(tcp::kPeerClosed);
        return;
    }
    if (state_ == State::kConnecting && (events & tcp::kConnected)) begin_client();
    if (state_ == State::kHandshake && (events & (tcp::kReadable | tcp::kPeerClosed))) return feed();
    if (state_ != State::kOpen) return;
    auto up = static_cast<uint16_t>(events & (tcp::kWritable | tcp::kSent));
    if (events & (tcp::kReadable | tcp::kPeerClosed)) up |= read();
    if (up) tell(up);
    if (state_ == State::kOpen && end_ == End::kBroken && plain_.empty()) fail(error_);
}

/// What came before a reset still counts: an alert that tells why, the rest of an answer.
void TlsTransport::on_raw_failed() {
    const bool bytes = !raw_->receive_queue().empty();
    if (bytes && state_ == State::kHandshake && handshake_ && !end_fed_) {
        gone_ = true;
        feed();
        if (!end_fed_) core_.handshaker.peer_closed(*handshake_);
        end_fed_ = true;
        return;   // the handshake's end follows
    }
    if (gone_) return;
    if (bytes && state_ == State::kOpen && end_ == End::kNone) read();
    fail(raw_->error());
}

void TlsTransport::feed() {
    if (!handshake_ || end_fed_) return discard_raw();
    SliceQueue& in = raw_->receive_queue();
    if (const uint64_t bytes = in.bytes(); bytes > 0) {
        end_fed_ = !core_.handshaker.feed(*handshake_, in);   // over its limit: its failure follows
        if (end_fed_) in.clear();
        raw_->consumed(bytes - in.bytes());   // data that came before the handshake's end was known may stay
    }
    if (end_fed_ || !raw_->peer_closed()) return;
    end_fed_ = true;
    core_.handshaker.peer_closed(*handshake_);
}

void TlsTransport::on_handshake_bytes(std::span<const uint8_t> bytes, Instant now) {
    core_.now = now;
    if (state_ != State::kHandshake || bytes.empty()) return;
    SliceQueue out(core_.nodes);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (append_text(text, core_.mbufs, out)) {
        if (!raw_->write(std::move(out))) out.clear();   // its end is about to be told
        return;
    }
    core_.counters.mbufs_empty++;
    fail_later(tcp::Error::kNoMemory, kNoBuffer);
}

void TlsTransport::on_handshake_done(tls::HandshakeResult&& result, bool take_tickets, Instant now) {
    core_.now = now;
    if (!take_tickets) handshake_ = nullptr;
    if (state_ != State::kHandshake || end_ != End::kNone) return result.keys.wipe();   // it broke on our side meanwhile
    if (gone_) {
        result.keys.wipe();
        if (handshake_) core_.handshaker.finish(*std::exchange(handshake_, nullptr));
        return fail(raw_->error());
    }
    info_.version = result.keys.version;
    info_.cipher_suite = result.keys.cipher_suite;
    info_.group = result.group;
    info_.resumed = result.resumed;
    info_.session = result.session;
    info_.handshake_us = static_cast<uint32_t>(std::clamp<int64_t>((now - began_).us, 0, UINT32_MAX));
    info_.alpn = std::move(result.alpn);
    info_.server_name = std::move(result.server_name);
    identity_ = core_.identities.share(std::move(result.peer));
    info_.peer = &Identities::of(identity_);
    const auto& ours = server_context_ ? server_context_->certificates() : client_context_->certificates();
    info_.local = ours.empty() ? nullptr : &ours[result.certificate];
    stats().add_handshake(info_.version, info_.cipher_suite, info_.group, info_.resumed, info_.peer->presented);
    if (role_ == tls::Role::kClient) info_.principals = core_.stats.take_principals(principals_of(info_));
    if (result.fallback) {
        stats().fallbacks.add();
        fallback_ = std::move(result.fallback);
    } else {
        records_.emplace(core_.record_engine, result.keys);
        if (const uint32_t bytes = raw_->segment_bytes()) records_->set_segment_bytes(bytes);
    }
    state_ = State::kOpen;
    if (!result.leftover.empty()) return_leftover(result.leftover);
    tell(tcp::kConnected);
    if (state_ != State::kOpen) return;
    if (!raw_->receive_queue().empty() || raw_->peer_closed()) on_transport_events(tcp::kReadable, now);
}

/// What was read beyond the handshake goes before what has come since.
void TlsTransport::return_leftover(std::span<const uint8_t> leftover) {
    SliceQueue joined(core_.nodes);
    const std::string_view text(reinterpret_cast<const char*>(leftover.data()), leftover.size());
    if (!append_text(text, core_.mbufs, joined)) {
        core_.counters.mbufs_empty++;
        return fail_later(tcp::Error::kNoMemory, kNoBuffer);
    }
    consumed_before_ = static_cast<uint32_t>(leftover.size());
    SliceQueue& in = raw_->receive_queue();
    joined.append(std::move(in));
    in.append(std::move(joined));
}

void TlsTransport::on_handshake_failed(tls::Failure failure, tls::Alert alert, std::string_view reason, Instant now) {
    core_.now = now;
    handshake_ = nullptr;
    if (state_ != State::kHandshake || end_ != End::kNone) return;   // it broke on our side meanwhile
    failure_ = failure;
    alert_ = alert;
    stats().add_failure(failure);
    error_ = tcp::Error::kReset;
    failure_reason_ = reason;
    fail(error_);
}

tls::Records::Status TlsTransport::open_records() {
    const StageScope scope(core_.stages, Stage::kTls);
    Status status;
    while ((status = records_->open(raw_->receive_queue(), plain_, UINT64_MAX)) == Status::kPostHandshake)
        if (handshake_) core_.handshaker.take_ticket(*handshake_, records_->post_handshake_record());
    return status;
}

/// Opens all that is here: what waits above is bounded by the receive buffer below. Returns what is news for the handler.
uint16_t TlsTransport::read() {
    SliceQueue& in = raw_->receive_queue();
    if (end_ != End::kNone) return discard_raw(), uint16_t{0};
    const uint64_t raw_before = in.bytes(), plain_before = plain_.bytes();
    Status status = Status::kOk;
    if (fallback_) {
        const StageScope scope(core_.stages, Stage::kTls);
        const auto opened = fallback_->open(in, plain_, core_.mbufs);
        status = opened == tls::OpensslRecords::Status::kOk       ? Status::kOk
                 : opened == tls::OpensslRecords::Status::kClosed ? Status::kClosed
                                                                  : Status::kError;
        SliceQueue nothing(core_.nodes), answers(core_.nodes);   // alerts and key updates leave with what is sealed next
        if (fallback_->seal(nothing, answers, core_.mbufs) && !answers.empty() && !raw_->write(std::move(answers))) answers.clear();
    } else {
        status = open_records();
        if (handshake_ && records_->application_data_seen()) core_.handshaker.finish(*std::exchange(handshake_, nullptr));
    }
    // No list node is left: a whole record may be here, and no event will tell of it again.
    const bool starved = status == Status::kOk && !in.empty() && core_.nodes.available() == 0;
    if (starved) core_.schedule(*this);
    const uint64_t gained = plain_.bytes() - plain_before;
    give_back_overhead(raw_before - in.bytes(), gained);
    send_control();
    uint16_t events = gained ? tcp::kReadable : 0;
    switch (status) {
        case Status::kClosed:
            end_ = End::kClosed;
            peer_closed_ = true;
            events |= tcp::kPeerClosed;
            discard_raw();
            break;
        case Status::kPeerAlert:
            stats().connection_errors.add();
            alert_ = records_->alert();
            broken(tcp::Error::kReset, alert_reason(alert_));
            break;
        case Status::kError:
            stats().connection_errors.add();
            alert_sent_ = true;
            broken(tcp::Error::kReset, kBadRecord);
            break;
        default:
            if (!raw_->peer_closed() || starved) break;
            if (shut_ && in.empty()) {   // we said goodbye first: many answer with FIN alone
                end_ = End::kClosed;
                peer_closed_ = true;
                events |= tcp::kPeerClosed;
                break;
            }
            stats().truncated.add();
            broken(tcp::Error::kReset, kTruncated);
    }
    return events;
}

/// Headers and tags hold no window; plain bytes do until they are consumed.
void TlsTransport::give_back_overhead(uint64_t raw_taken, uint64_t plain_gained) {
    const uint64_t overhead = raw_taken > plain_gained ? raw_taken - plain_gained : 0;
    if (overhead > 0) consumed(overhead);
}

void TlsTransport::consumed(uint64_t n) {
    const auto before = static_cast<uint32_t>(std::min<uint64_t>(n, consumed_before_));
    consumed_before_ -= before;
    if (n > before) raw_->consumed(n - before);
    if (end_ == End::kBroken && plain_.empty() && state_ == State::kOpen) core_.schedule(*this);
}

void TlsTransport::discard_raw() {
    SliceQueue& in = raw_->receive_queue();
    const uint64_t n = in.bytes();
    if (n == 0) return;
    in.clear();
    raw_->consumed(n);
}

void TlsTransport::send_control() {
    if (!records_ || !records_->has_control()) return;
    if (!records_->has_alert() && raw_->unacknowledged() > kUpdateAnswerInFlight) return;
    SliceQueue out(core_.nodes);
    if (!records_->take_control(out)) core_.counters.mbufs_empty++;
    if (!out.empty() && !raw_->write(std::move(out))) out.clear();
}

uint64_t TlsTransport::send_room() {
    const uint64_t room = raw_->send_room();
    return room == 0 ? 0 : std::max<uint64_t>(1, tls::Records::plain_room(room));
}

bool TlsTransport::write(SliceQueue&& data) {
    if (state_ != State::kOpen || shut_ || error_ != tcp::Error::kNone) return false;
    SliceQueue out(core_.nodes);
    bool sealed;
    {
        const StageScope scope(core_.stages, Stage::kTls);
        sealed = fallback_ ? fallback_->seal(data, out, core_.mbufs) : records_->seal(data, out, core_.now);
    }
    if (!sealed) {
        core_.counters.mbufs_empty++;
        data.clear();
        fail_later(tcp::Error::kNoMemory, kNoBuffer);
    }
    if (out.empty()) return sealed;
    const bool written = raw_->write(std::move(out));
    if (!written) out.clear();
    return sealed && written;
}

void TlsTransport::shutdown_write() {
    if (state_ == State::kOpen && !shut_ && error_ != tcp::Error::kNoMemory) {
        if (fallback_) {
            SliceQueue out(core_.nodes);
            if (fallback_->close_notify(out, core_.mbufs) && !out.empty() && !raw_->write(std::move(out))) out.clear();
        } else {
            records_->close_notify();
            send_control();
        }
    }
    shut_ = true;
    raw_->shutdown_write();
}

/// A reset would overtake the alert that says why; and as nothing fatal looks like a good end, none is needed.
void TlsTransport::abort() {
    shut_ = true;
    alert_sent_ ? raw_->shutdown_write() : raw_->abort();
}

void TlsTransport::release() {
    if (state_ == State::kReleased) return;
    if (handshake_) {
        tls::Handshake& handshake = *std::exchange(handshake_, nullptr);
        state_ == State::kHandshake ? core_.handshaker.cancel(handshake) : core_.handshaker.finish(handshake);
    }
    if (raw_) {
        if (state_ != State::kOpen) discard_raw();             // so that an alert on its way is not overtaken by a reset
        else if (!plain_.empty()) raw_->abort();               // as TCP does with what nobody read (RFC 9293 3.6)
        else if (!shut_) shutdown_write();
        raw_->set_handler(nullptr);
        std::exchange(raw_, nullptr)->release();
    }
    state_ = State::kReleased;
    handler_ = nullptr;
    plain_.clear();
    records_.reset();
    fallback_.reset();
    info_.peer = &Identities::of(nullptr);
    core_.stats.principal_uses().drop(std::exchange(info_.principals, telemetry::kNoPrincipals));
    core_.identities.release(std::exchange(identity_, nullptr));
    core_.bury(*this);
}

/// No byte follows; what is read already is still delivered, then the end is told.
void TlsTransport::broken(tcp::Error error, std::string_view reason) {
    if (end_ != End::kNone) return;
    end_ = End::kBroken;
    error_ = error;
    failure_reason_ = reason;
    discard_raw();
}

void TlsTransport::fail(tcp::Error error) {
    error_ = error;
    if (handshake_ && state_ == State::kHandshake) core_.handshaker.cancel(*std::exchange(handshake_, nullptr));
    state_ = State::kFailed;
    cluster_.reset();
    tell(tcp::kFailed);
}

/// Not from within a call of the handler.
void TlsTransport::fail_later(tcp::Error error, std::string_view reason) {
    broken(error, reason);
    plain_.clear();
    core_.schedule(*this);
}

void TlsTransport::run(Instant now) {
    core_.now = now;
    if (state_ == State::kOpen && end_ == End::kNone) return on_transport_events(tcp::kReadable, now);
    if (state_ == State::kFailed || state_ == State::kReleased || end_ != End::kBroken || !plain_.empty()) return;
    fail(error_);
}

void TlsTransport::tell(uint16_t events) {
    if (handler_) handler_->on_transport_events(events, core_.now);
}

void TlsTransport::describe(worker::ConnectionRow& row) const {
    if (handler_) handler_->describe(row);
    if (state_ == State::kOpen) row.tls = tls::to_string(info_.version);
    else row.phase = state_ == State::kConnecting ? "connecting" : "TLS handshake";
}

worker::CloseOutcome TlsTransport::close_for_operator(bool reset, Instant now) {
    return handler_ ? handler_->close_for_operator(reset, now) : worker::CloseOutcome::kClosing;
}

}  // namespace sluice::proxy
