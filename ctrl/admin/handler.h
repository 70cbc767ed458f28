// The management endpoint without its sockets: a request's method, path and parameters in, an answer out. Reads are for
// everybody who reaches an endpoint, writes only where `writable` (the unix socket). Answers are JSON or plain text, never HTML.
// Any thread; keeps nothing of a request but the latch behind /ready.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "ctrl/admin/sources.h"

namespace sluice::admin {

struct Request {
    std::string method, path;
    std::multimap<std::string, std::string> parameters;
    bool writable = false;
    std::string accept = {};   // the header
    std::string body = {};   // of the paths that take one

    std::string parameter(const std::string& name) const {
        const auto found = parameters.find(name);
        return found == parameters.end() ? "" : found->second;
    }
};

struct Answer {
    int status = 200;
    std::string body;
    std::string type = "application/json";
    std::string allow;   // for 405
    std::shared_ptr<Stream> stream;   // in place of a body

    static Answer streaming(std::shared_ptr<Stream> stream, std::string type) { return {200, {}, std::move(type), {}, std::move(stream)}; }

    static Answer text(std::string body, int status = 200) { return {status, std::move(body), "text/plain; charset=utf-8", {}, {}}; }
    static Answer json(std::string body, int status = 200) { return {status, std::move(body), "application/json", {}, {}}; }
    /// {"error": ..., "cure": ...}
    static Answer error(int status, const std::string& message, const std::string& cure = {});
};

class Handler {
 public:
    explicit Handler(Sources sources);
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    Answer handle(const Request& request) const;
    /// Whether a POST's body is worth reading.
    static bool takes_body(const std::string& path);

 private:
    Answer find_answer(const Request& request) const;
    Answer index() const;
    Answer ready() const;
    Answer drain(const Request& request, bool on) const;
    Answer drain_endpoint(const Request& request, bool on) const;
    Answer reopen_log() const;
    Answer log_level(const Request& request) const;
    bool live() const;

    struct Entry {
        const char* method;
        const char* path;
        const char* help;
        std::function<Answer(const Request&)> answer;
        bool streams = false;   // holds a thread as long as it is read: for the unix socket alone
    };
    Sources sources_;
    std::vector<Entry> entries_;
    mutable std::atomic<bool> was_live_{false};
};

}  // namespace sluice::admin
