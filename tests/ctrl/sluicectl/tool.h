// sluicectl against the fake gateway's real socket, with a clock that only sleeping moves.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <sstream>

#include "ctrl/admin/server.h"
#include "ctrl/sluicectl/cli.h"
#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::ctl::test {

class Tool : public testing::Test {
 protected:
    std::filesystem::path folder;
    admin::test::FakeGateway gateway;
    std::unique_ptr<admin::Handler> handler;
    std::unique_ptr<admin::Server> server;
    std::string out, err;
    Instant now{1000};
    std::function<void()> on_sleep = [] {};

    void SetUp() override {
        char name[] = "/tmp/sluice-ctl-XXXXXX";
        folder = mkdtemp(name);
    }
    void TearDown() override {
        server.reset();
        std::filesystem::remove_all(folder);
    }
    std::string socket() const { return folder / "admin.sock"; }
    void start() {
        handler = std::make_unique<admin::Handler>(gateway.sources());
        auto started = admin::Server::start({.socket = socket(), .http = {}}, *handler);
        ASSERT_TRUE(started) << started.error();
        server = std::move(*started);
    }
    int run(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"--target", socket()});
        return run_as_is(std::move(arguments));
    }
    int run_as_is(std::vector<std::string> arguments) {
        std::ostringstream o, e;
        const int code = ctl::run(std::move(arguments), o, e,
                                  [this](Duration d) {
                                      now = now + d;
                                      on_sleep();
                                  },
                                  [this] { return now; });
        out = o.str();
        err = e.str();
        return code;
    }
};

}  // namespace sluice::ctl::test
