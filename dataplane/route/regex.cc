// Regexes: what may run on Hyperscan, shards, and the match itself.
// In: regex texts and subjects (paths, header and query values; validated, so without CR, LF and NUL). Out: masks.
// Hyperscan reads bytes (never HS_FLAG_UTF8 on a peer's bytes), RE2 reads UTF-8: the two agree on ASCII subjects, others go to
// RE2. Patterns outside of the common syntax stay on RE2 too, so no answer of Hyperscan needs a second look.
#include "route/regex.h"

#include <hs/hs.h>
#include <re2/re2.h>

#include <cstring>
#include <mutex>
#include <unordered_map>

#include "route/regex_cache.h"
#include "route/text.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::route {
namespace {

constexpr int64_t kRegexMemoryBytes = 800 * 1024;
// Instructions of RE2's program above which Hyperscan is not even asked: it could take minutes and gigabytes to compile.
constexpr int kHyperscanProgramMax = 2000;

int on_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
    *static_cast<uint64_t*>(context) |= uint64_t{1} << id;
    return 0;
}

/// "(?:", "(?i)", "(?i:" and "(?P<": the groups both read alike.
bool common_group(std::string_view at) {
    return at.starts_with("(?:") || at.starts_with("(?i)") || at.starts_with("(?i:") || at.starts_with("(?P<");
}

}  // namespace

Result<std::shared_ptr<const re2::RE2>> compile_regex(std::string_view text) {
    if (text.size() > kRegexBytesMax) return unexpected("regex longer than 4096 bytes");
    static std::mutex mutex;
    static std::unordered_map<std::string, std::weak_ptr<const re2::RE2>> known;
    const std::lock_guard lock(mutex);
    if (known.size() > 1 << 16) std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
    auto& cached = known[std::string(text)];
    if (auto regex = cached.lock()) return regex;
    // A peer's varied subjects may fill a regex's automaton: it gets a tenth of RE2's usual memory, all of it if it must.
    const re2::StringPiece piece(text.data(), text.size());
    re2::RE2::Options options(re2::RE2::Quiet);
    options.set_max_mem(kRegexMemoryBytes);
    auto regex = std::make_shared<const re2::RE2>(piece, options);
    if (regex->error_code() == re2::RE2::ErrorPatternTooLarge) regex = std::make_shared<const re2::RE2>(piece, re2::RE2::Quiet);
    if (!regex->ok()) return unexpected("bad regex: " + regex->error());
    cached = regex;
    return regex;
}

bool check_substitution(const re2::RE2& regex, std::string_view substitution) {
    std::string error;
    return regex.CheckRewriteString(re2::StringPiece(substitution.data(), substitution.size()), &error);
}

bool same_in_hyperscan(std::string_view regex) {
    for (size_t i = 0; i < regex.size(); i++) {
        const char c = regex[i];
        if (c < 0x20 || c > 0x7e) return false;
        if (c == '(' && regex.substr(i).starts_with("(?") && !common_group(regex.substr(i))) return false;
        if (c != '\\') continue;
        if (++i == regex.size()) return false;
        const char escaped = regex[i];
        const bool letter_or_digit = (escaped >= '0' && escaped <= '9') || (to_lower(escaped) >= 'a' && to_lower(escaped) <= 'z');
        if (letter_or_digit && !std::strchr("dDwWsSb", escaped)) return false;
        if (escaped < 0x20 || escaped > 0x7e) return false;
    }
    return true;
}

size_t shard_end(const std::vector<std::string>& sorted, size_t begin) {
    for (size_t i = begin + 1; i < sorted.size(); i++) {
        if (i - begin == kShardPatterns) return i;
        if (XXH3_64bits(sorted[i].data(), sorted[i].size()) % (kShardPatterns / 2) == 0) return i;
    }
    return sorted.size();
}

Database::~Database() { hs_free_database(handle); }

Shard::Shard(std::vector<Pattern> patterns, uint32_t& budget) : patterns_(std::move(patterns)) {
    std::vector<RegexCache::Expression> expressions;
    for (uint32_t i = 0; i < patterns_.size(); i++) {
        if (!same_in_hyperscan(patterns_[i].text) || patterns_[i].re2->ProgramSize() > kHyperscanProgramMax) {
            on_re2_ |= uint64_t{1} << i;
            continue;
        }
        expressions.push_back({patterns_[i].text, i});
        key_ += std::to_string(i) + ":" + patterns_[i].text + '\n';
    }
    any_for_hyperscan_ = !expressions.empty();
    if (!any_for_hyperscan_) return;
    database_ = RegexCache::instance().database(key_, std::move(expressions), budget);
    if (database_) on_re2_ |= database_->without;
}

bool Shard::could_adopt() const { return pending() && RegexCache::instance().ready(key_); }

uint64_t Shard::match(std::string_view subject, uint64_t wanted, hs_scratch* scratch) const {
    wanted &= all();
    uint64_t matched = 0, on_re2 = wanted;
    if (database_ && database_->handle && scratch && (wanted & ~on_re2_) && is_ascii(subject)) {
        const hs_error_t status = hs_scan(database_->handle, subject.data() ? subject.data() : "",
                                          static_cast<unsigned>(subject.size()), 0, scratch, on_match, &matched);
        if (status == HS_SUCCESS) {
            matched &= wanted;
            on_re2 &= on_re2_;
        } else {
            matched = 0;  // scratch that was not prepared for us: RE2 answers
        }
    }
    for (; on_re2; on_re2 &= on_re2 - 1) {
        const auto bit = static_cast<uint32_t>(__builtin_ctzll(on_re2));
        const re2::StringPiece text(subject.data(), subject.size());
        if (re2::RE2::FullMatch(text, *patterns_[bit].re2)) matched |= uint64_t{1} << bit;
    }
    return matched;
}

}  // namespace sluice::route
