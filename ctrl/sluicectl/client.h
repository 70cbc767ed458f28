// Talks to one gateway's unix socket. In: method and path. Out: JSON, or one line that says why not and what to do.
// RFC 9112 by cpp-httplib over AF_UNIX; a connection for each request.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::ctl {

using Json = nlohmann::ordered_json;

struct Failure {
    int exit_code = 2;       // 1: the gateway answered, but not with what was asked; 2: it is down, or the use is wrong
    std::string message;     // one line with its cure
};

class Client {
 public:
    explicit Client(std::string target) : target_(std::move(target)) {}
    Result<Json, Failure> get(const std::string& path, const std::map<std::string, std::string>& parameters = {}) const;
    Result<Json, Failure> post(const std::string& path, const std::map<std::string, std::string>& parameters = {}) const;
    /// GET of an answer that goes on: hands on each piece; false from `take` ends it, which is no failure.
    Result<void, Failure> stream(const std::string& path, const std::multimap<std::string, std::string>& parameters,
                                 const std::function<bool(std::string_view)>& take) const;
    Result<Json, Failure> post_json(const std::string& path, const Json& body) const;
    /// GET whose status is the answer (/ready).
    Result<int, Failure> status_of(const std::string& path) const;
    const std::string& target() const { return target_; }

 private:
    struct Reply {
        int status = 0;
        std::string body;
    };
    Result<Reply, Failure> send(bool post, const std::string& path, const std::map<std::string, std::string>& parameters,
                                const std::string& body = {}) const;
    Result<Json, Failure> json_of(const Result<Reply, Failure>& reply) const;
    std::string target_;
};

}  // namespace sluice::ctl
