// drops: what was dropped or refused, by reason, with what it means and what to do; and the balance that says whether all of it
// is explained. With --delta, what came in between two looks.
#include <fmt/format.h>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

/// Frames on their way while the counters are read are not yet anywhere: so many are no finding.
constexpr double kUnexplainedShare = 0.001;
constexpr int64_t kUnexplainedMin = 4096;

int64_t signed_of(const Json& json, const char* key) {
    const Json& value = child_of(json, key);
    return value.is_number() ? value.get<int64_t>() : 0;
}

/// `after` less `before`, all the way down; what is no number stays.
Json less(const Json& after, const Json& before) {
    if (after.is_number()) return Json(after.get<int64_t>() - (before.is_number() ? before.get<int64_t>() : 0));
    Json out = after;
    if (after.is_object())
        for (auto& [key, value] : out.items()) value = less(value, child_of(before, key.c_str()));
    return out;
}

/// The list of reasons has the same order in both.
Json grown(const Json& before, const Json& after) {
    Json out = after;
    const Json& then = child_of(before, "reasons");
    Json& now = out["reasons"];
    for (size_t i = 0; i < now.size() && i < then.size(); i++) now[i]["count"] = less(now[i]["count"], then[i]["count"]);
    out["frames"] = less(child_of(after, "frames"), child_of(before, "frames"));
    return out;
}

bool is_explained(const Json& frames) {
    const int64_t unexplained = std::abs(signed_of(frames, "unexplained"));
    return unexplained <= std::max(kUnexplainedMin, static_cast<int64_t>(kUnexplainedShare * static_cast<double>(signed_of(frames, "received"))));
}

void print_balance(const Context& c, const Json& frames) {
    std::string delivered;
    int64_t sum = 0;
    for (const auto& [who, n] : child_of(frames, "delivered").items()) {
        const int64_t count = n.get<int64_t>();
        sum += count;
        if (count) delivered += fmt::format("{}{} {}", delivered.empty() ? "" : ", ", who, grouped(static_cast<uint64_t>(std::max<int64_t>(0, count))));
    }
    c.out << fmt::format("frames received {} = delivered {}{} + dropped {} + between cores {}; unexplained {}\n", grouped(number_of(frames, "received")), grouped(static_cast<uint64_t>(sum)),
                         delivered.empty() ? "" : " (" + delivered + ")", grouped(number_of(frames, "dropped")), grouped(number_of(frames, "in_flight")), signed_of(frames, "unexplained"));
}

}  // namespace

int drops(const Context& c, Duration delta, bool all) {
    auto answer = c.client.get("/v1/drops");
    if (!answer) return fail(c, answer.error());
    if (delta.us) {
        c.sleep(delta);
        const auto after = c.client.get("/v1/drops");
        if (!after) return fail(c, after.error());
        answer = grown(*answer, *after);
    }
    Json shown = Json::array();
    for (const auto& reason : child_of(*answer, "reasons"))
        if (all || number_of(reason, "count") != 0) shown.push_back(reason);
    (*answer)["reasons"] = shown;
    const Json& frames = child_of(*answer, "frames");
    const int code = is_explained(frames) ? 0 : 1;
    if (write_data(c, *answer)) return code;
    Table table({{"LAYER"}, {"REASON"}, {"COUNT", true}, {"OF"}, {"MEANING AND CURE"}});
    for (const auto& reason : shown) {
        table.row({text_of(reason, "layer"), text_of(reason, "reason"), grouped(number_of(reason, "count")), text_of(reason, "unit"), text_of(reason, "meaning")});
        table.row({"", "", "", "", "  " + text_of(reason, "cure")});
    }
    if (table.empty()) c.out << (delta.us ? "nothing was dropped in that time\n" : "nothing was dropped\n");
    else c.out << table.text();
    print_balance(c, frames);
    if (code) c.err << "sluicectl: frames are missing from this list: a counter lacks, which is a mistake of the gateway's: please report it\n";
    return code;
}

}  // namespace sluice::ctl
