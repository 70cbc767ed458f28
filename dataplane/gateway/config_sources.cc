// What the management endpoint shows and changes of the configuration: reads are answered where they are asked, changes are handed
// to the control thread. Any thread.
#include "ctrl/control/mesh_loader.h"
#include "gateway/gateway.h"
#include "gateway/setup.h"

namespace sluice::gateway {

namespace {

// A build of a large config takes seconds; a caller waits no longer than its own time-out.
constexpr std::chrono::milliseconds kCallTimeout{10'000};

}  // namespace

void Gateway::add_config_sources(admin::Sources& sources) {
    sources.history = &history_;
    sources.directory = [this] { return source::read_files(host_.mesh.directory, shown_directory(host_)); };
    sources.load_files = [this](source::FileSetPtr files) { return load_files(std::move(files)); };
    sources.apply = [this](control::ApplyRequest request) {
        return calls_.call([this, request = std::move(request)] { return editor_.apply(request); }, kCallTimeout);
    };
    sources.rollback = [this](control::RollbackRequest request) {
        return calls_.call([this, request = std::move(request)] { return editor_.rollback(request); }, kCallTimeout);
    };
}

}  // namespace sluice::gateway
