// The filter chain around the router: order, stopping and going on in every phase, local replies, per-route configuration.
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

/// What a test's filter does, and what it saw.
struct Script : filter::Config {
    std::string name;
    bool stop_request_headers = false, stop_request_data = false, stop_response_headers = false, stop_response_data = false;
    bool reply = false, reply_on_response = false, change_body = false;
    mutable std::vector<std::string>* trace = nullptr;
    mutable filter::StreamContext* context = nullptr;
};
struct PerRoute : filter::Config {
    std::string text;
};

class TestFilter final : public filter::StreamFilter {
 public:
    explicit TestFilter(const Script* script) : s_(script) {}
    filter::Status on_request_headers(http::Request& request, bool end, filter::StreamContext& context) override {
        s_->context = &context;
        note(end ? "request headers end" : "request headers");
        if (const auto* config = static_cast<const PerRoute*>(context.route_config(*this))) note("config " + config->text);
        EXPECT_TRUE(request.headers.add("x-filter", s_->name));
        if (s_->reply) {
            context.send_local_reply({.status = 403, .body = "denied", .details = "test_denied", .reason = "a test says no"});
            return filter::Status::kStop;
        }
        return s_->stop_request_headers ? filter::Status::kStop : filter::Status::kContinue;
    }
    filter::Status on_request_data(SliceQueue& data, bool end, filter::StreamContext&) override {
        note("request data " + std::to_string(data.bytes()) + (end ? " end" : ""));
        return s_->stop_request_data && !std::exchange(stopped_request_, true) ? filter::Status::kStop : filter::Status::kContinue;
    }
    filter::Status on_request_trailers(http::HeaderList&, filter::StreamContext&) override {
        note("request trailers");
        return filter::Status::kContinue;
    }
    filter::Status on_response_headers(http::Response& response, bool end, filter::StreamContext& context) override {
        note(end ? "response headers end" : "response headers");
        EXPECT_TRUE(response.headers.add("x-seen", s_->name));
        if (s_->reply_on_response && response.status == 200) {
            context.send_local_reply({.status = 500, .body = "changed my mind", .details = "test", .reason = "test"});
            return filter::Status::kStop;
        }
        return s_->stop_response_headers ? filter::Status::kStop : filter::Status::kContinue;
    }
    filter::Status on_response_data(SliceQueue& data, bool end, filter::StreamContext&) override {
        note("response data " + std::to_string(data.bytes()) + (end ? " end" : ""));
        return s_->stop_response_data && !std::exchange(stopped_response_, true) ? filter::Status::kStop : filter::Status::kContinue;
    }
    filter::Status on_response_trailers(http::HeaderList&, filter::StreamContext&) override {
        note("response trailers");
        return filter::Status::kContinue;
    }
    void on_destroy() override {
        note("destroy");
        s_->context = nullptr;
    }

 private:
    void note(std::string text) { s_->trace->push_back(s_->name + ": " + text); }
    const Script* s_;
    bool stopped_request_ = false, stopped_response_ = false;
};

const filter::Factory kTestFactory{
    .type_url = "type.googleapis.com/test.Filter",
    .name = "test.filter",
    .terminal = false,
    .create = [](const filter::Config* config, Arena& arena) -> filter::StreamFilter* {
        return arena.make<TestFilter>(static_cast<const Script*>(config));
    }};

class FilterChainTest : public ProxyTest {
 protected:
    std::shared_ptr<Script> add(const std::string& name) {
        auto script = std::make_shared<Script>();
        script->name = name;
        script->trace = &trace_;
        auto& chain = http().filters;
        chain.insert(chain.end() - 1, {.factory = &kTestFactory, .name = name, .config = script});
        return script;
    }
    std::vector<std::string> trace_;
    using Trace = std::vector<std::string>;
};

TEST_F(FilterChainTest, OrderInAndReverseOrderOut) {
    add("a");
    add("b");
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    upstream(0).accept_connection();
    c.send("2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n");
    EXPECT_HAS(upstream(0).take(), "x-filter: a\r\nx-filter: b\r\n");
    upstream(0).send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n");
    const std::string got = c.take();
    EXPECT_HAS(got, "x-seen: b\r\nx-seen: a\r\n");
    EXPECT_TRUE(got.ends_with("2\r\nok\r\n0\r\nx-t: 1\r\n\r\n")) << got;
    EXPECT_EQ(trace_, (Trace{"a: request headers", "b: request headers", "a: request data 2", "b: request data 2",
                             "a: request trailers", "b: request trailers", "b: response headers", "a: response headers",
                             "b: response data 2", "a: response data 2", "b: response trailers", "a: response trailers",
                             "a: destroy", "b: destroy"}));
    expect_all_back();
}

TEST_F(FilterChainTest, LocalReplyOfAFilterEndsItThere) {
    add("a");
    add("b")->reply = true;
    add("c");
    publish();
    auto& c = client();
    c.send(kGet);
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 403 Forbidden");
    EXPECT_TRUE(got.ends_with("denied"));
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_EQ(log().reason, "a test says no");
    EXPECT_FALSE(c.shut);
    expect_all_back();
}

TEST_F(FilterChainTest, StoppedHeadersHoldTheBodyInTheWindow) {
    const auto script = add("a");
    script->stop_request_headers = true;
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
    c.send(std::string(50'000, 'x'), 1400);
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_EQ(c.unconsumed(), 50'000u) << "not taken, so the client's window closes";
    ASSERT_NE(script->context, nullptr);
    script->context->continue_request();
    ASSERT_EQ(upstreams(), 1u);
    upstream(0).accept_connection();
    c.send(std::string(50'000, 'x'), 1400);
    EXPECT_TRUE(upstream(0).take().ends_with("\r\n\r\n" + std::string(100'000, 'x')));
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "200 OK");
    expect_all_back();
}

TEST_F(FilterChainTest, StoppedDataGoesOn) {
    add("first");
    const auto script = add("a");
    script->stop_request_data = true;
    script->stop_response_data = true;
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody");
    upstream(0).accept_connection();
    EXPECT_FALSE(upstream(0).take().ends_with("body"));
    script->context->continue_request();
    EXPECT_EQ(upstream(0).take(), "body");
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nans");
    EXPECT_TRUE(c.take().ends_with("\r\n\r\n"));
    upstream(0).send("wer");
    EXPECT_EQ(c.take(), "");
    script->context->continue_response();
    EXPECT_EQ(c.take(), "answer");
    EXPECT_EQ(log().status, 200);
    expect_all_back();
}

TEST_F(FilterChainTest, StoppedResponseHeadersGoOn) {
    const auto script = add("a");
    script->stop_response_headers = true;
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_EQ(c.take(), "");
    script->context->continue_response();
    engine_->settle();
    EXPECT_TRUE(c.take().ends_with("\r\n\r\nok"));
    expect_all_back();
}

TEST_F(FilterChainTest, AFilterMayReplaceTheAnswer) {
    add("a")->reply_on_response = true;
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 500");
    EXPECT_TRUE(got.ends_with("changed my mind"));
    EXPECT_NOT(got, "200 OK");
    expect_all_back();
}

TEST_F(FilterChainTest, ClientGoneWhileAFilterHolds) {
    const auto script = add("a");
    script->stop_request_headers = true;
    publish();
    auto& c = client();
    c.send(kGet);
    c.reset();
    EXPECT_EQ(script->context, nullptr) << "destroyed";
    EXPECT_EQ(trace_.back(), "a: destroy");
    expect_all_back();
}

TEST_F(FilterChainTest, PerRouteConfiguration) {
    add("a");
    auto config = std::make_shared<PerRoute>();
    config->text = "of this route";
    first_route().per_filter = {config, nullptr};
    route(prefix("/plain"), "web");
    publish();
    auto& c = client();
    c.send(kGet);
    EXPECT_EQ(trace_, (Trace{"a: request headers end", "a: config of this route"}));
    trace_.clear();
    auto& d = client();
    d.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_EQ(trace_, (Trace{"a: request headers end"}));
    expect_all_back();
}

TEST_F(FilterChainTest, ChainWithoutFiltersIsSaidSo) {
    http().filters.clear();
    publish();
    auto& c = client();
    c.send(kGet);
    EXPECT_HAS(c.take(), "HTTP/1.1 503");
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
