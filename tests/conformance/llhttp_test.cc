// Differential test: whatever our reader accepts, llhttp in strict mode accepts with the same messages, bodies and framing.
// In: payloads, known streams and mutations of them. Where we refuse more, the reasons are counted and printed.
// Repeat a run: SLUICE_SEED=N build/tests/conformance/llhttp_test. llhttp knows a list of methods: others are left out.
#include <gtest/gtest.h>
#include <llhttp.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <map>
#include <regex>
#include <vector>

#include "tests/http/h1_driver.h"
#include "tests/http/payloads.h"

namespace sluice::http::h1::test {
namespace {

struct Message {
    std::string start;     // method and target, or status
    std::string fields;    // header fields, then trailers; Host of a request left out
    std::string body;
    bool keep_alive = false;
    bool complete = false;
    friend bool operator==(const Message&, const Message&) = default;
};

std::ostream& operator<<(std::ostream& out, const Message& m) {
    return out << testing::PrintToString(m.start + "|" + m.fields + "|" + m.body) << (m.keep_alive ? " keep-alive" : " close");
}

struct Reading {
    std::vector<Message> messages;   // complete ones
    std::string error;
    bool unknown_method = false;
};

std::string field(std::string_view name, std::string_view value) {
    std::string text;
    for (char c : name) text += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    return text.append(": ").append(value).append("\n");
}

// --- Ours ---------------------------------------------------------------------------------------

void put_head(Message& m, const Request& r) {
    m.start = std::string(r.method_text) + " " + std::string(r.original_path);
    m.keep_alive = r.keep_alive;
}
void put_head(Message& m, const Response& r) {
    m.start = std::to_string(r.status);
    m.keep_alive = r.keep_alive;
}

template <typename Head>
Reading read_ours(std::string_view bytes, Method request_method) {
    constexpr bool kIsRequest = std::is_same_v<Head, Request>;
    Memory memory;
    Reading reading;
    SliceQueue in(memory.nodes);
    push(in, bytes);
    HeadReader reader(kIsRequest ? HeadReader::Kind::kRequest : HeadReader::Kind::kResponse, {});
    while (!in.empty()) {
        Arena arena(memory.chunks);
        Head head(arena);
        reader.start();
        Status status;
        if constexpr (kIsRequest) status = reader.read_request(in, head);
        else status = reader.read_response(in, head, request_method);
        if (status == Status::kError) reading.error = to_string(reader.error());
        if (status != Status::kDone) return reading;
        Message m;
        put_head(m, head);
        BodyReader body;
        body.start(head.framing, head.content_length, {});
        SliceQueue out(memory.nodes);
        uint64_t consumed = 0;
        const uint32_t headers = head.headers.size();
        status = body.read(in, out, UINT64_MAX, &head.headers, &consumed);
        if (status == Status::kNeedMore) status = body.end_of_stream();
        if (status == Status::kError) {
            reading.error = to_string(body.error());
            return reading;
        }
        for (uint32_t i = 0; i < head.headers.size(); i++) {
            const Header& h = head.headers.items()[i];
            if (i == headers) m.fields += "--\n";
            m.fields += field(h.name, h.value);
        }
        m.body = text_of(out);
        m.complete = true;
        reading.messages.push_back(m);
        bool tunnel;
        if constexpr (kIsRequest) tunnel = head.method == Method::kConnect || head.upgrade;
        else tunnel = head.status == 101 || (request_method == Method::kConnect && head.status / 100 == 2);
        if (tunnel || !head.keep_alive) return reading;
    }
    return reading;
}

// --- llhttp -------------------------------------------------------------------------------------

struct Llhttp {
    llhttp_t parser;
    llhttp_settings_t settings;
    Reading reading;
    Message message;
    std::string url, name, value;
    bool is_request = false, in_trailers = false, skip_body = false;

    static Llhttp& of(llhttp_t* p) { return *static_cast<Llhttp*>(p->data); }
    void end_field() {
        if (name.empty()) return;
        const std::string text = field(name, value);
        if (!is_request || text.compare(0, 6, "host: ") != 0) {
            if (in_trailers && message.fields.find("--\n") == std::string::npos) message.fields += "--\n";
            message.fields += text;
        }
        name.clear();
        value.clear();
    }
    static int on_url(llhttp_t* p, const char* at, size_t n) { return of(p).url.append(at, n), 0; }
    static int on_name(llhttp_t* p, const char* at, size_t n) { return of(p).name.append(at, n), 0; }
    static int on_value(llhttp_t* p, const char* at, size_t n) { return of(p).value.append(at, n), 0; }
    static int on_value_complete(llhttp_t* p) { return of(p).end_field(), 0; }
    static int on_body(llhttp_t* p, const char* at, size_t n) { return of(p).message.body.append(at, n), 0; }
    static int on_begin(llhttp_t* p) {
        Llhttp& self = of(p);
        self.message = {};
        self.url.clear();
        self.in_trailers = false;
        return 0;
    }
    static int on_head(llhttp_t* p) {
        Llhttp& self = of(p);
        self.message.start = self.is_request ? llhttp_method_name(static_cast<llhttp_method_t>(p->method)) + (" " + self.url) : std::to_string(p->status_code);
        self.message.keep_alive = llhttp_should_keep_alive(p) != 0;
        self.in_trailers = true;
        // llhttp leaves RFC 9112 6.3 (1) to its caller: 204, 304 and HEAD have no body whatever their fields say.
        return self.skip_body || (!self.is_request && (p->status_code == 204 || p->status_code == 304)) ? 1 : 0;
    }
    static int on_complete(llhttp_t* p) {
        Llhttp& self = of(p);
        self.message.complete = true;
        self.reading.messages.push_back(self.message);
        return 0;
    }
};

Reading read_llhttp(std::string_view bytes, bool request, Method request_method) {
    Llhttp self;
    llhttp_settings_init(&self.settings);
    self.settings.on_message_begin = Llhttp::on_begin;
    self.settings.on_url = Llhttp::on_url;
    self.settings.on_header_field = Llhttp::on_name;
    self.settings.on_header_value = Llhttp::on_value;
    self.settings.on_header_value_complete = Llhttp::on_value_complete;
    self.settings.on_headers_complete = Llhttp::on_head;
    self.settings.on_body = Llhttp::on_body;
    self.settings.on_message_complete = Llhttp::on_complete;
    llhttp_init(&self.parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &self.settings);
    self.parser.data = &self;
    self.is_request = request;
    self.skip_body = !request && request_method == Method::kHead;
    llhttp_errno_t error = llhttp_execute(&self.parser, bytes.data(), bytes.size());
    if (error == HPE_OK) error = llhttp_finish(&self.parser);
    if (error != HPE_OK && error != HPE_PAUSED_UPGRADE) {
        self.reading.error = llhttp_get_error_reason(&self.parser);
        self.reading.unknown_method = error == HPE_INVALID_METHOD;
    }
    return self.reading;
}

/// llhttp takes an HTAB beside a connection option for a part of it; it is white space (RFC 9110 5.6.3).
bool has_tab_in_connection(std::string_view bytes) {
    std::string lower(bytes);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (size_t at = lower.find("connection:"); at != lower.npos; at = lower.find("connection:", at + 1)) {
        if (std::string_view(lower).substr(at, lower.find('\r', at) - at).find('\t') != std::string_view::npos) return true;
    }
    return false;
}

// RFC 9112 7.1.1 allows ";a=b;c" and quoted pairs in chunk extensions; llhttp 8.1 stops at either. We follow the RFC: the one
// place where we accept more.
bool has_extension_llhttp_cannot_read(const std::string& bytes) {
    static const std::regex extension("[0-9a-fA-F];[^\\r\\n]*(=[^\";\\r\\n]+;|\\\\)");
    return std::regex_search(bytes, extension);
}

// --- The comparison -----------------------------------------------------------------------------

class Differential : public testing::Test {
 protected:
    static void SetUpTestSuite() {
        const char* given = std::getenv("SLUICE_SEED");
        seed = given ? std::strtoull(given, nullptr, 10) : static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
        std::printf("repeat: SLUICE_SEED=%llu llhttp_test\n", static_cast<unsigned long long>(seed));
    }
    static void TearDownTestSuite() {
        std::printf("%llu streams, %llu messages read alike. Refused by us and accepted by llhttp:\n",
                    static_cast<unsigned long long>(streams), static_cast<unsigned long long>(alike));
        for (const auto& [reason, count] : stricter) std::printf("  %7llu  %s\n", static_cast<unsigned long long>(count), reason.c_str());
    }
    void compare(const std::string& bytes, bool request, Method request_method = Method::kGet) {
        const Reading ours = request ? read_ours<Request>(bytes, request_method) : read_ours<Response>(bytes, request_method);
        const Reading theirs = read_llhttp(bytes, request, request_method);
        streams++;
        for (size_t i = 0; i < ours.messages.size(); i++) {
            if (i == theirs.messages.size() && theirs.unknown_method) return;
            if (i == theirs.messages.size() && has_tab_in_connection(bytes)) return;   // llhttp thought the connection closed
            if (i == theirs.messages.size() && theirs.error.find("chunk") != std::string::npos && has_extension_llhttp_cannot_read(bytes)) return;
            ASSERT_LT(i, theirs.messages.size()) << "accepted by us, refused by llhttp (" << theirs.error << "): " << ours.messages[i]
                                                 << "\n" << testing::PrintToString(bytes);
            Message theirs_i = theirs.messages[i];
            if (!ours.messages[i].keep_alive) theirs_i.keep_alive = false;   // we close after more messages, never after fewer
            if (has_tab_in_connection(bytes)) theirs_i.keep_alive = ours.messages[i].keep_alive;
            ASSERT_EQ(ours.messages[i], theirs_i) << testing::PrintToString(bytes);
            alike++;
        }
        if (theirs.messages.size() > ours.messages.size() && !ours.error.empty()) stricter[ours.error]++;
    }
    static inline uint64_t seed = 0, streams = 0, alike = 0;
    static inline std::map<std::string, uint64_t> stricter;
};

const std::string kNext = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kRequests[] = {
    kNext + kNext,
    "\r\nGET /a/../b?c HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n" + kNext,
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world" + kNext,
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX: \t y z \r\nY:\r\n\r\n" + kNext,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;z;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\nY: z\r\n\r\n" + kNext,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y z\";z=\"\"\r\nhello\r\n000;e\r\n\r\n" + kNext,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\nConnection: keep-alive, x\r\n\r\n0\r\n\r\n" + kNext,
    "GET http://h:1/x?y HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n" + kNext,
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + kNext,
    "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nraw bytes",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes",
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + kNext,
};
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const std::string kResponses[] = {
    kOk + kOk,
    "HTTP/1.1 100 Continue\r\n\r\n" + kOk,
    "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n" + kOk,
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + kOk,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\n3\r\nabc\r\n0\r\nT: t\r\n\r\n" + kOk,
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 404 \r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
};

TEST_F(Differential, KnownStreams) {
    for (const auto& bytes : kRequests) compare(bytes, true);
    for (const auto& bytes : kResponses) compare(bytes, false);
    compare("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Method::kHead);
    EXPECT_GE(alike, std::size(kRequests) + std::size(kResponses)) << "these are right: nothing may be left out";
}

TEST_F(Differential, Payloads) {
    for (const Refused& c : kFields) compare("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(c.text) + "\r\n\r\n0\r\n\r\n" + kNext, true);
    for (const Refused& c : kFields) compare("HTTP/1.1 200 OK\r\n" + std::string(c.text) + "\r\n\r\n0\r\n\r\n" + kOk, false);
    for (const Refused& c : kHeads) compare(std::string(c.text) + kNext, true);
    for (const Refused& c : kBodies) compare("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(c.text) + kNext, true);
    for (const Refused& c : kBodies) compare("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(c.text) + kOk, false);
}

TEST_F(Differential, EveryByteEverywhere) {
    for (const auto& good : kRequests)
        for (size_t at = 0; at < good.size(); at++)
            for (int c = 0; c < 256; c++) {
                std::string bytes = good;
                bytes[at] = static_cast<char>(c);
                compare(bytes, true);
                if (HasFatalFailure()) return;
            }
}

TEST_F(Differential, Mutations) {
    for (int i = 0; i < 60000 && !HasFatalFailure(); i++) {
        const bool request = next_random(seed) % 3 != 0;
        std::string bytes = request ? kRequests[next_random(seed) % std::size(kRequests)] : kResponses[next_random(seed) % std::size(kResponses)];
        mutate(bytes, seed);
        compare(bytes, request);
    }
}

}  // namespace
}  // namespace sluice::http::h1::test
