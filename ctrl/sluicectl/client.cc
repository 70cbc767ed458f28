// A probe connection comes first: its errno says more than the library's.
#include "ctrl/sluicectl/client.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::ctl {

namespace {

constexpr time_t kTimeoutS = 15;

/// 0, or errno.
int probe(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int error = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    close(fd);
    return error;
}

Failure down(const std::string& target, int error) {
    switch (error) {
        case ENOENT: return {2, fmt::format("no gateway at {}: start sluiced, or name its socket with --target", target)};
        case ECONNREFUSED: return {2, fmt::format("the gateway at {} has gone: start sluiced again", target)};
        case EACCES: return {2, fmt::format("{}: permission denied: run as root or as the gateway's user", target)};
        case ENOTSOCK: return {2, fmt::format("{} is no socket: name the gateway's admin.socket with --target", target)};
        default: return {2, fmt::format("{}: {}", target, std::strerror(error))};
    }
}

}  // namespace

Result<Client::Reply, Failure> Client::send(bool post, const std::string& path, const std::map<std::string, std::string>& parameters,
                                            const std::string& body) const {
    if (const int error = probe(target_)) return unexpected(down(target_, error));
    httplib::Client client(target_);
    client.set_address_family(AF_UNIX);
    client.set_connection_timeout(kTimeoutS);
    client.set_read_timeout(kTimeoutS);
    httplib::Params params(parameters.begin(), parameters.end());
    const std::string full = params.empty() ? path : httplib::append_query_params(path, params);
    const auto result = post ? client.Post(full, body, "application/json") : client.Get(full);
    if (!result) return unexpected(Failure{2, fmt::format("{}: no answer ({})", target_, httplib::to_string(result.error()))});
    return Reply{result->status, result->body};
}

Result<void, Failure> Client::stream(const std::string& path, const std::multimap<std::string, std::string>& parameters,
                                     const std::function<bool(std::string_view)>& take) const {
    if (const int error = probe(target_)) return unexpected(down(target_, error));
    httplib::Client client(target_);
    client.set_address_family(AF_UNIX);
    client.set_connection_timeout(kTimeoutS);
    client.set_read_timeout(kTimeoutS);   // the gateway says something each second
    const std::string full = parameters.empty() ? path : httplib::append_query_params(path, {parameters.begin(), parameters.end()});
    Reply refused;
    bool enough = false;
    const auto result = client.Get(full, {}, [&](const httplib::Response& response) { return refused.status = response.status, true; }, [&](const char* data, size_t size) {
        if (refused.status < 400) return !(enough = !take({data, size}));
        refused.body.append(data, size);
        return refused.body.size() < 65536;
    });
    if (refused.status >= 400) {
        const auto answer = json_of(refused);
        return unexpected(answer ? Failure{1, "refused"} : answer.error());
    }
    if (!result && !enough) return unexpected(Failure{2, fmt::format("{}: the answer broke off ({}): has the gateway stopped?", target_, httplib::to_string(result.error()))});
    return {};
}

Result<Json, Failure> Client::json_of(const Result<Reply, Failure>& reply) const {
    if (!reply) return unexpected(reply.error());
    Json body = Json::parse(reply->body, nullptr, false);
    if (body.is_discarded()) return unexpected(Failure{2, fmt::format("{}: the answer is not JSON: is this a gateway's admin.socket?", target_)});
    if (reply->status < 400) return body;
    const std::string cure = body.value("cure", "");
    return unexpected(Failure{1, body.value("error", "refused") + (cure.empty() ? "" : ": " + cure)});
}

Result<Json, Failure> Client::get(const std::string& path, const std::map<std::string, std::string>& parameters) const {
    return json_of(send(false, path, parameters));
}

Result<Json, Failure> Client::post(const std::string& path, const std::map<std::string, std::string>& parameters) const {
    return json_of(send(true, path, parameters));
}

Result<Json, Failure> Client::post_json(const std::string& path, const Json& body) const {
    return json_of(send(true, path, {}, body.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

Result<int, Failure> Client::status_of(const std::string& path) const {
    auto reply = send(false, path, {});
    if (!reply) return unexpected(std::move(reply.error()));
    return reply->status;
}

}  // namespace sluice::ctl
