// AccessLogFilter -> a predicate that the telemetry thread asks of each entry; workers copy, and never filter.
// In: filters that the field walk let through. Out: a function over entries; it owns what it compares with.
// Control thread. Envoy config.accesslog.v3.AccessLogFilter.
#include <re2/re2.h>

#include <algorithm>
#include <random>

#include "ctrl/apply/readers.h"
#include "route/regex.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::accesslog::v3;
using telemetry::AccessLogCaptures;
using telemetry::AccessLogEntry;
using Filter = telemetry::AccessLogSet::Filter;

constexpr int kDepthMax = 8;

Filter none(const At& at, std::string message) {
    at.refuse(std::move(message));
    return {};
}

Filter compare(const pb::ComparisonFilter& in, uint64_t (*value)(const AccessLogEntry&), const At& at) {
    const uint64_t limit = in.value().default_value();
    switch (in.op()) {
        case pb::ComparisonFilter::EQ: return [=](const AccessLogEntry& e) { return value(e) == limit; };
        case pb::ComparisonFilter::GE: return [=](const AccessLogEntry& e) { return value(e) >= limit; };
        case pb::ComparisonFilter::LE: return [=](const AccessLogEntry& e) { return value(e) <= limit; };
        default: return none(at.child("comparison.op"), "an unknown comparison");
    }
}

/// Which requests are sampled hangs on their id, so that all logs agree; on chance if that is asked for, or if they have none.
Filter sample(const pb::RuntimeFilter& in, const At& at) {
    using Percent = envoy::type::v3::FractionalPercent;
    const auto& percent = in.percent_sampled();
    const uint64_t of = percent.denominator() == Percent::HUNDRED ? 100 : percent.denominator() == Percent::TEN_THOUSAND ? 10'000 : 1'000'000;
    if (percent.numerator() > of) return none(at.child("percent_sampled.numerator"), "more than all");
    return [=, n = percent.numerator(), independent = in.use_independent_randomness()](const AccessLogEntry& e) {
        thread_local std::mt19937_64 random{std::random_device{}()};
        const uint64_t drawn = independent || e.request_id.empty() ? random() : mix(0, e.request_id);
        return drawn % of < n;
    };
}

bool matches(const route::StringMatch& match, const re2::RE2* regex, std::string_view value) {
    using Kind = route::StringMatch::Kind;
    const auto equal = [&](std::string_view a, std::string_view b) { return match.ignore_case ? http::iequals(a, b) : a == b; };
    const std::string& text = match.text;
    const bool fits = value.size() >= text.size();
    switch (match.kind) {
        case Kind::kPresent: return !value.empty();
        case Kind::kExact: return equal(value, text);
        case Kind::kPrefix: return fits && equal(value.substr(0, text.size()), text);
        case Kind::kSuffix: return fits && equal(value.substr(value.size() - text.size()), text);
        case Kind::kRegex: return RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex);
        case Kind::kContains: break;
    }
    for (size_t i = 0; i + text.size() <= value.size(); i++)
        if (equal(value.substr(i, text.size()), text)) return true;
    return false;
}

Filter header(const envoy::config::route::v3::HeaderMatcher& in, AccessLogCaptures& captures, const At& at) {
    route::RouteMatch::Named named;
    if (!read_header_match(in, named, at)) return {};
    std::shared_ptr<const re2::RE2> regex;
    if (named.match.kind == route::StringMatch::Kind::kRegex) regex = *route::compile_regex(named.match.text);
    std::string_view AccessLogEntry::* fixed = named.name == ":method" ? &AccessLogEntry::method
                                               : named.name == ":path" ? &AccessLogEntry::path
                                               : named.name == ":authority" || http::iequals(named.name, "host") ? &AccessLogEntry::authority
                                                                                                                  : nullptr;
    uint16_t place = 0;
    if (!fixed) {
        const auto found = captures.place_of(AccessLogCaptures::From::kRequest, named.name);
        if (!found) return none(at.child("name"), "one header too many");
        place = *found;
    }
    return [=, match = named.match](const AccessLogEntry& e) {
        const std::string_view value = fixed ? e.*fixed : place < e.captured.size() ? e.captured[place] : std::string_view();
        // As in Envoy: an absent header matches nothing, inverted or not, unless presence is asked for.
        if (value.empty() && !match.missing_as_empty && match.kind != route::StringMatch::Kind::kPresent) return false;
        return matches(match, regex.get(), value) != match.invert;
    };
}

Filter flags(const pb::ResponseFlagFilter& in, const At& at) {
    uint32_t wanted = 0;
    for (int i = 0; i < in.flags_size(); i++) {
        if (!telemetry::is_response_flag(in.flags(i))) return none(at.child("flags", i), "there is no response flag " + in.flags(i));
        wanted |= telemetry::response_flag(in.flags(i));
    }
    const bool any = in.flags_size() == 0;
    return [=](const AccessLogEntry& e) { return any ? e.flags != 0 : (e.flags & wanted) != 0; };
}

Filter grpc_statuses(const pb::GrpcStatusFilter& in, AccessLogCaptures& captures, const At& at) {
    const auto trailer = captures.place_of(AccessLogCaptures::From::kResponseTrailers, "grpc-status");
    const auto header = captures.place_of(AccessLogCaptures::From::kResponse, "grpc-status");
    if (!trailer || !header) return none(at, "one header too many");
    const std::vector<uint64_t> wanted(in.statuses().begin(), in.statuses().end());
    return [wanted, exclude = in.exclude(), trailer = *trailer, header = *header](const AccessLogEntry& e) {
        const auto captured = [&](uint16_t place) { return place < e.captured.size() ? e.captured[place] : std::string_view(); };
        const uint64_t status = telemetry::grpc_status_number(captured(trailer), captured(header), e.status);
        return (std::find(wanted.begin(), wanted.end(), status) != wanted.end()) != exclude;
    };
}

/// This gateway writes one kind of line, at a request's end.
Filter types(const pb::LogTypeFilter& in) {
    bool named = false;
    for (const int type : in.types()) named |= type == envoy::data::accesslog::v3::DownstreamEnd;
    return [logged = named != in.exclude()](const AccessLogEntry&) { return logged; };
}

Filter read(const pb::AccessLogFilter& in, AccessLogCaptures& captures, int depth, const At& at);

template <typename Filters>
bool read_all(const Filters& in, AccessLogCaptures& captures, int depth, std::vector<Filter>& out, const At& at) {
    for (int i = 0; i < in.filters_size(); i++) {
        out.push_back(read(in.filters(i), captures, depth + 1, at.child("filters", i)));
        if (!out.back()) return false;
    }
    return out.size() >= 2 || at.child("filters").refuse("at least two are needed");
}

Filter read(const pb::AccessLogFilter& in, AccessLogCaptures& captures, int depth, const At& at) {
    using pb::AccessLogFilter;
    if (depth > kDepthMax) return none(at, "nested too deeply");
    std::vector<Filter> below;
    switch (in.filter_specifier_case()) {
        case AccessLogFilter::kStatusCodeFilter:
            return compare(in.status_code_filter().comparison(), [](const AccessLogEntry& e) -> uint64_t { return e.status; },
                           at.child("status_code_filter"));
        case AccessLogFilter::kDurationFilter:
            return compare(in.duration_filter().comparison(), [](const AccessLogEntry& e) { return e.duration_us / 1000; },
                           at.child("duration_filter"));
        case AccessLogFilter::kNotHealthCheckFilter: return [](const AccessLogEntry&) { return true; };   // no filter answers health checks
        case AccessLogFilter::kRuntimeFilter: return sample(in.runtime_filter(), at.child("runtime_filter"));
        case AccessLogFilter::kAndFilter:
            if (!read_all(in.and_filter(), captures, depth, below, at.child("and_filter"))) return {};
            return [below](const AccessLogEntry& e) { return std::all_of(below.begin(), below.end(), [&](const Filter& f) { return f(e); }); };
        case AccessLogFilter::kOrFilter:
            if (!read_all(in.or_filter(), captures, depth, below, at.child("or_filter"))) return {};
            return [below](const AccessLogEntry& e) { return std::any_of(below.begin(), below.end(), [&](const Filter& f) { return f(e); }); };
        case AccessLogFilter::kHeaderFilter: return header(in.header_filter().header(), captures, at.child("header_filter.header"));
        case AccessLogFilter::kResponseFlagFilter: return flags(in.response_flag_filter(), at.child("response_flag_filter"));
        case AccessLogFilter::kGrpcStatusFilter: return grpc_statuses(in.grpc_status_filter(), captures, at.child("grpc_status_filter"));
        case AccessLogFilter::kLogTypeFilter: return types(in.log_type_filter());
        default: return none(at, "a filter of no kind");
    }
}

}  // namespace

Filter read_log_filter(const pb::AccessLogFilter& in, AccessLogCaptures& captures, const At& at) { return read(in, captures, 0, at); }

}  // namespace sluice::apply
