// A core's end of the quiescent-state protocol (rte_rcu_qsbr): one load per turn, a store only after a publish.
// In: the worker's turns and sleeps. Out: what the Publisher may free.
// Owns nothing; one per core, used by that core alone.
#include <rte_rcu_qsbr.h>

#include "snapshot/snapshot.h"

namespace sluice::snapshot {

void Reader::quiescent() { rte_rcu_qsbr_quiescent(qsbr_, core_); }
void Reader::online() { rte_rcu_qsbr_thread_online(qsbr_, core_); }
void Reader::offline() { rte_rcu_qsbr_thread_offline(qsbr_, core_); }

}  // namespace sluice::snapshot
