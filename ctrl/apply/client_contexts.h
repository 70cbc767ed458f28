// TLS contexts towards backends: one for all clusters that ask for the same of whomever they call. A cluster names its context by an id,
// and Snapshot::client_contexts has what that id stands for now: a rotated secret makes the contexts that use it, and touches no cluster.
// In: UpstreamTlsContexts, the secrets in force, the contexts of the build before. Out: ids; the table. One for each build; control thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ctrl/apply/apply.h"
#include "ctrl/apply/at.h"
#include "ctrl/apply/origin.h"
#include "ctrl/apply/secrets.h"
#include "ctrl/apply/tls_materials.h"
#include "snapshot/snapshot.h"

namespace sluice::apply {

class ClientContexts {
 public:
    struct From {
        const snapshot::Snapshot* previous;   // nullptr: nothing is taken over
        const Origin* before;                 // of `previous`; nullptr with it
    };
    ClientContexts(const Secrets& secrets, const TlsInputs& inputs, snapshot::Publisher& publisher, const From& from);

    struct Found {
        uint32_t id = 0;
        uint64_t settings_hash = 0;
        tls_pb::CertificateValidationContext secret_names;   // that its secret asks of peers
    };
    /// nullptr: refused at `at`. Valid until the next call.
    const Found* find(const tls_pb::UpstreamTlsContext& in, const At& at);
    /// A cluster that was read with this context may be taken over as it is. False: it must be read again, which tells why.
    bool stands(uint32_t id) const { return made_.contains(id) && !renamed_.contains(id); }
    /// One more cluster has it.
    void use(uint32_t id) { made_.at(id).used = true; }

    /// Contexts by id, of those in use; what the next build takes over is left in `origin`.
    std::vector<std::shared_ptr<const tls::ClientContext>> take(Origin& origin);

 private:
    struct Made {
        ContextOrigin origin;
        std::shared_ptr<const tls::ClientContext> context;   // nullptr: a secret of it is not there yet
        Found found;
        bool used = false;
    };
    bool make(const std::shared_ptr<const tls_pb::UpstreamTlsContext>& settings, Made& out, const At& at) const;
    void take_over(uint32_t id, const ContextOrigin& before, const From& from);

    const Secrets& secrets_;
    const TlsInputs& inputs_;
    snapshot::Publisher& publisher_;
    std::map<uint32_t, Made> made_;
    std::set<uint32_t> renamed_;   // their secrets ask other names of peers than before
};

}  // namespace sluice::apply
