// Connections of all cores, by asking each through its mailbox: list, show, close. Any thread; waits for cores, at most
// kPatience for one that does not get on.
#include <memory>

#include "gateway/gateway.h"
#include "worker/connection_jobs.h"

namespace sluice::gateway {

namespace {
constexpr Duration kPatience = seconds(2);
using Answer = worker::Mailbox::Answer;
}  // namespace

admin::ListedConnections Gateway::list_connections(const std::function<void(const worker::ConnectionRow&)>& take) const {
    admin::ListedConnections out;
    worker::ConnectionRow row;
    for (uint32_t i = 0; i < crew_->size(); i++) {
        auto job = std::make_unique<worker::ListConnections>();
        worker::ListConnections& list = *job;
        const Answer answer = crew_->worker(i).mailbox().ask(job, kPatience, [&] {
            while (list.pop(row)) take(row);
        });
        if (answer == Answer::kDone) out.time_wait += job->time_wait();
        else out.silent.push_back(crew_->worker(i).cpu());
    }
    return out;
}

std::optional<worker::ConnectionRow> Gateway::show_connection(const admin::ConnectionName& name, bool& silent) const {
    silent = false;
    if (name.core >= crew_->size()) return std::nullopt;
    auto job = std::make_unique<worker::ShowConnection>(name.id);
    silent = crew_->worker(name.core).mailbox().ask(job, kPatience) != Answer::kDone;
    if (silent || !job->row()) return std::nullopt;
    return *job->row();
}

std::optional<worker::CloseOutcome> Gateway::close_connection(const admin::ConnectionName& name, bool reset) const {
    if (name.core >= crew_->size()) return worker::CloseOutcome::kGone;
    auto job = std::make_unique<worker::CloseConnection>(name.id, reset);
    if (crew_->worker(name.core).mailbox().ask(job, kPatience) != Answer::kDone) return std::nullopt;
    return job->outcome();
}

}  // namespace sluice::gateway
