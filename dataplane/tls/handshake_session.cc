// One handshake with OpenSSL (see handshake_session.h).
#include "tls/handshake_session.h"

#include <algorithm>
#include <ctime>

#include "base/ip_address.h"

namespace sluice::tls {

namespace {

constexpr size_t kFirstBytes = 8;   // as long as the longest method and a space
constexpr std::string_view kMethods[] = {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI * "};

void append_field(std::string& key, std::string_view text) {
    key += text;
    key += '\0';
}

/// Whose sessions: what was asked of the peer is part of it, since a resumed session shows no new certificate.
std::string session_key(const ClientPeer& peer, const SocketAddress& remote) {
    std::string key;
    append_field(key, peer.sni);
    append_field(key, remote.to_string());
    append_field(key, peer.verify_host);
    for (const SanMatcher& matcher : peer.subject_alt_names) append_field(key, describe(matcher));
    append_field(key, "");
    for (const std::string& protocol : peer.alpn) append_field(key, protocol);
    return key;
}

/// Its IANA number: RFC 8422 5.1.1.
uint16_t group_of(SSL* ssl) {
    switch (SSL_get_negotiated_group(ssl)) {
        case NID_X25519: return 0x001d;
        case NID_X9_62_prime256v1: return 0x0017;
        case NID_secp384r1: return 0x0018;
        case NID_secp521r1: return 0x0019;
        case NID_X448: return 0x001e;
        case NID_undef: return 0;
        default: return UINT16_MAX;
    }
}

SessionId session_id_of(const SSL* ssl) {
    SessionId out;
    unsigned size = 0;
    const SSL_SESSION* session = SSL_get_session(ssl);
    const unsigned char* id = session ? SSL_SESSION_get_id(session, &size) : nullptr;
    out.size = static_cast<uint8_t>(std::min<size_t>(size, out.bytes.size()));
    if (id) std::copy_n(id, out.size, out.bytes.begin());
    return out;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return text;
}

}  // namespace

HandshakeSession::HandshakeSession(std::shared_ptr<const ServerContext> context, LiveConnection::Gauge gauge)
    : server_(std::move(context)), live_(std::move(gauge)) {
    attach(ServerContextImpl::of(*server_).core.ssl_ctx.get());
    if (ssl_) SSL_set_accept_state(ssl_.get());
}

HandshakeSession::HandshakeSession(std::shared_ptr<const ClientContext> context, const ClientPeer& peer, const SocketAddress& remote, LiveConnection::Gauge gauge)
    : client_(std::move(context)), peer_(peer), session_key_(session_key(peer, remote)), live_(std::move(gauge)), first_known_(true) {
    attach(ClientContextImpl::of(*client_).core.ssl_ctx.get());
    if (!ssl_) return;
    SSL_set_connect_state(ssl_.get());
    // RFC 6066 3: a literal address is no server name.
    if (!peer_.sni.empty() && !IpAddress::parse(peer_.sni)) SSL_set_tlsext_host_name(ssl_.get(), peer_.sni.c_str());
    std::vector<uint8_t> wire = core().alpn_wire;
    if (!peer_.alpn.empty())
        if (auto own = alpn_to_wire(peer_.alpn)) wire = std::move(*own);
    if (!wire.empty()) SSL_set_alpn_protos(ssl_.get(), wire.data(), static_cast<unsigned>(wire.size()));
    if (offer_session()) offered_ = SSL_get_session(ssl_.get());
}

HandshakeSession::~HandshakeSession() {
    keys_.wipe();
    if (!ssl_) return;
    // Without this OpenSSL takes the end for a broken connection, and its sessions are not resumed.
    if (state_ == State::kDone) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_app_data(ssl_.get(), nullptr);
}

const ContextCore& HandshakeSession::core() const { return server_ ? ServerContextImpl::of(*server_).core : ClientContextImpl::of(*client_).core; }

void HandshakeSession::attach(SSL_CTX* ctx) {
    ERR_clear_error();
    ssl_.reset(SSL_new(ctx));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    if (!ssl_ || !in_ || !out_) {
        BIO_free(in_);
        BIO_free(out_);
        ssl_.reset();
        fail_with(Failure::kInternal, "OpenSSL gives no connection: " + take_openssl_error());
        return;
    }
    BIO_set_mem_eof_return(in_, -1);   // empty is "not yet"
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_app_data(ssl_.get(), static_cast<SslHooks*>(this));
}

/// A kept session, if its certificate would still pass and no other of its chain has ended.
bool HandshakeSession::offer_session() {
    const SessionStore::Kept kept = ClientContextImpl::of(*client_).sessions.take(session_key_, core().verifier->now_s());
    if (!kept.session) return false;
    X509* leaf = SSL_SESSION_get0_peer(kept.session.get());
    if (!leaf || core().verifier->recheck(leaf, &peer_).error != X509_V_OK) return false;
    good_until_s_ = kept.good_until_s;
    return SSL_set_session(ssl_.get(), kept.session.get()) == 1;
}

void HandshakeSession::write(std::span<const uint8_t> bytes) {
    if (state_ == State::kFailed || !ssl_ || bytes.empty()) return;
    if (!first_known_) first_bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    else BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
}

/// Plain HTTP on a TLS port is told apart before OpenSSL answers it with bytes that no HTTP client reads. True: it is.
bool HandshakeSession::is_plain_http() {
    const std::string_view seen = first_bytes_;
    for (const std::string_view method : kMethods)
        if (seen.starts_with(method)) return true;
    if (seen.size() < kFirstBytes &&
        std::any_of(std::begin(kMethods), std::end(kMethods), [&](std::string_view method) { return method.starts_with(seen); })) return false;
    first_known_ = true;
    BIO_write(in_, seen.data(), static_cast<int>(seen.size()));
    first_bytes_.clear();
    return false;
}

HandshakeSession::State HandshakeSession::run(std::vector<uint8_t>& out) {
    if (state_ == State::kRunning && !first_known_) {
        if (is_plain_http()) fail_with(Failure::kPlainHttp, "HTTP_REQUEST: an HTTP request without TLS");
        else if (!first_known_) return state_;
    }
    if (state_ == State::kRunning) step(out);
    else if (state_ == State::kDone && wants_tickets_) take_tickets();
    return state_;
}

void HandshakeSession::step(std::vector<uint8_t>& out) {
    ERR_clear_error();
    watch_.begin_call();
    const int result = SSL_do_handshake(ssl_.get());
    const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
    take_output(out);
    if (result == 1) succeed();
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail(error);
}

void HandshakeSession::take_output(std::vector<uint8_t>& out) {
    const size_t waiting = BIO_ctrl_pending(out_);
    if (waiting == 0) return;
    const size_t before = out.size();
    out.resize(before + waiting);
    const int n = BIO_read(out_, out.data() + before, static_cast<int>(waiting));
    out.resize(before + static_cast<size_t>(std::max(n, 0)));
    watch_.write(std::span(out).subspan(before));
}

void HandshakeSession::succeed() {
    const Role role = server_ ? Role::kServer : Role::kClient;
    if (SSL_has_pending(ssl_.get()) || !hand_over(ssl_.get(), role, secrets_, watch_, keys_)) {
        fail_with(Failure::kInternal, "the connection's keys cannot be handed over");
        return;
    }
    state_ = State::kDone;
    if (offered_) {
        if (!SSL_session_reused(ssl_.get())) ClientContextImpl::of(*client_).sessions.forget(session_key_);
        // A 1.2 server's new ticket for an old session: OpenSSL tells nobody of it.
        else if (keys_.version == Version::kTls12 && SSL_get_session(ssl_.get()) != offered_) on_session(SessionPtr(SSL_get1_session(ssl_.get())));
    }
    wants_tickets_ = client_ && keys_.version == Version::kTls13 && keys_.aead != Aead::kNone &&
                     (SSL_CTX_get_session_cache_mode(SSL_get_SSL_CTX(ssl_.get())) & SSL_SESS_CACHE_CLIENT) != 0;
}

HandshakeResult HandshakeSession::take_result() {
    HandshakeResult result;
    SSL* ssl = ssl_.get();
    const X509* leaf = SSL_get0_peer_certificate(ssl);
    const bool verified = leaf && SSL_get_verify_result(ssl) == X509_V_OK;
    const bool texts = server_ ? ServerContextImpl::of(*server_).identity_certificates : peer_.identity_certificates;
    result.peer = make_identity(leaf, SSL_get_peer_cert_chain(ssl), verified, texts);
    const unsigned char* alpn = nullptr;
    unsigned alpn_size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
    result.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
    const char* name = server_ ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : peer_.sni.c_str();
    if (name) result.server_name = lower(name);
    result.resumed = SSL_session_reused(ssl) == 1;
    result.group = group_of(ssl);
    if (client_ || keys_.version == Version::kTls12) result.session = session_id_of(ssl);   // a 1.3 server has tickets alone
    if (core().infos.size() > 1 && SSL_get_certificate(ssl)) {
        const std::string shown = digest_hex(SSL_get_certificate(ssl), EVP_sha256());
        for (uint32_t i = 0; i < core().infos.size(); i++)
            if (core().infos[i].sha256 == shown) result.certificate = i;
    }
    result.leftover.resize(BIO_ctrl_pending(in_));
    if (!result.leftover.empty()) BIO_read(in_, result.leftover.data(), static_cast<int>(result.leftover.size()));
    result.keys = keys_;
    keys_.wipe();
    if (result.keys.aead == Aead::kNone) {
        SSL_set_app_data(ssl, nullptr);
        in_ = out_ = nullptr;
        const std::shared_ptr<const void> keep = server_ ? std::shared_ptr<const void>(server_) : std::shared_ptr<const void>(client_);
        result.fallback = make_openssl_records(std::move(ssl_), std::move(live_), keep);
    }
    return result;
}

/// The SSL object alone knows the resumption secret: it reads the record as if it had come to it.
void HandshakeSession::take_tickets() {
    ERR_clear_error();
    unsigned char byte;
    const int result = SSL_read(ssl_.get(), &byte, 1);
    // Anything but "that was a ticket, more please" is not for this object: the record layer tells the peer what is wrong.
    if (result > 0 || SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) wants_tickets_ = false;
    ERR_clear_error();
    BIO_reset(out_);
}

void HandshakeSession::fail_with(Failure failure, std::string reason) {
    state_ = State::kFailed;
    failure_ = failure;
    reason_ = std::move(reason);
    const int alert = alert_received_ >= 0 ? alert_received_ : alert_sent_;
    alert_ = alert >= 0 ? static_cast<Alert>(alert) : Alert::kCloseNotify;
}

void HandshakeSession::fail(int ssl_error) {
    const Diagnosis diagnosis = diagnose();
    if (alert_received_ >= 0 && alert_received_ != static_cast<int>(Alert::kCloseNotify))
        return fail_with(Failure::kPeerAlert, std::string("the peer refused with alert ") + to_string(static_cast<Alert>(alert_received_)));
    if (alert_received_ >= 0 || ssl_error == SSL_ERROR_ZERO_RETURN) return fail_with(Failure::kPeerClosed, "the peer closed during the handshake");
    if (verdict_.failure != Failure::kNone) return fail_with(verdict_.failure, verdict_.reason);
    fail_with(diagnosis.failure, diagnosis.reason);
}

void HandshakeSession::on_key_log(const char* line) {
    secrets_.read(line);
    core().key_log.write(line);
}

void HandshakeSession::on_alert(bool sent, int value) { (sent ? alert_sent_ : alert_received_) = value & 0xff; }

int HandshakeSession::on_verify(X509_STORE_CTX* store) {
    verdict_ = core().verifier->verify(X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get0_untrusted(store), client_ ? &peer_ : nullptr);
    X509_STORE_CTX_set_error(store, verdict_.error);
    good_until_s_ = verdict_.good_until_s;
    return verdict_.failure == Failure::kNone ? 1 : 0;
}

bool HandshakeSession::on_resume(SSL_SESSION* session, int64_t good_until_s) {
    X509* leaf = SSL_SESSION_get0_peer(session);
    const auto asked = ServerContextImpl::of(*server_).client_certificate;
    if (!leaf) return asked != ServerOptions::ClientCertificate::kRequired;
    const Verifier* verifier = core().verifier.get();
    if (!verifier || verifier->now_s() >= good_until_s || verifier->recheck(leaf, nullptr).error != X509_V_OK) return false;
    good_until_s_ = good_until_s;   // the next ticket's too
    return true;
}

void HandshakeSession::on_session(SessionPtr session) {
    if (state_ == State::kFailed) return;
    tickets_taken_++;
    ClientContextImpl::of(*client_).sessions.put(session_key_, {std::move(session), good_until_s_});
}

}  // namespace sluice::tls
