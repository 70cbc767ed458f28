// One function for each thing the management endpoint shows. In: the sources, and a request's filters. Out: the body.
// JSON for sluicectl under /v1 (field names stable), Envoy's own forms elsewhere. Pure but for asking the sources.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctrl/admin/handler.h"
#include "ctrl/admin/sources.h"

namespace sluice::admin {

std::string status_json(const Sources& sources, const Request& request);
std::string config_json(const Sources& sources, const Request& request);
std::string history_json(const Sources& sources, const Request& request);
Answer revision_answer(const Sources& sources, const Request& request);    // ?revision=
Answer resources_answer(const Sources& sources, const Request& request);   // ?revision=
Answer apply_answer(const Sources& sources, const Request& request);
Answer rollback_answer(const Sources& sources, const Request& request);
std::string listeners_json(const Sources& sources, const Request& request);
std::string routes_json(const Sources& sources, const Request& request);
std::string clusters_json(const Sources& sources, const Request& request);
std::string endpoints_json(const Sources& sources, const Request& request);
std::string secrets_json(const Sources& sources, const Request& request);
std::string runtime_json(const Sources& sources, const Request& request);
std::string stats_json(const Sources& sources, const Request& request);
std::string drops_json(const Sources& sources, const Request& request);
std::string top_json(const Sources& sources, const Request& request);

Answer connections(const Sources& sources, const Request& request);
Answer show_connection(const Sources& sources, const Request& request);
Answer close_connection(const Sources& sources, const Request& request);
Answer log_tail(const Sources& sources, const Request& request);
Answer capture(const Sources& sources, const Request& request);
Answer stop_capture(const Sources& sources, const Request& request);

std::string config_dump(const Sources& sources);       // envoy.admin.v3.ConfigDump
std::string clusters_text(const Sources& sources);     // Envoy's /clusters
Answer metrics_answer(const Sources& sources, const Request& request);   // GET /stats/prometheus

}  // namespace sluice::admin
