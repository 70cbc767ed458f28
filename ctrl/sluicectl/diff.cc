// Lines are numbered by content first, so that the search compares integers.
#include "ctrl/sluicectl/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::ctl {

namespace {

constexpr size_t kContext = 3;
constexpr int kEditsMax = 2000;   // beyond it, everything between the first and the last change is one

struct Edit {
    char sign;             // ' ', '-', '+'
    size_t from, to;       // lines before this one on each side
};

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        out.push_back(text.substr(0, end == text.npos ? end : end + 1));
        text.remove_prefix(out.back().size());
    }
    return out;
}

/// The edits of a[a_first..a_end) -> b[...), appended; false if there are too many.
bool myers(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b, std::vector<char>& signs) {
    const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size()), max = std::min(n + m, kEditsMax);
    std::vector<std::vector<int>> trace;
    std::vector<int> v(2 * static_cast<size_t>(max) + 2, 0);
    const auto at = [&](std::vector<int>& row, int k) -> int& { return row[static_cast<size_t>(k + max)]; };
    const auto down = [&](std::vector<int>& row, int k, int d) { return k == -d || (k != d && at(row, k - 1) < at(row, k + 1)); };
    int d = 0;
    for (bool found = n + m == 0; !found; d++) {
        if (d > max) return false;
        trace.push_back(v);
        for (int k = -d; k <= d && !found; k += 2) {
            int x = down(v, k, d) ? at(v, k + 1) : at(v, k - 1) + 1;
            while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) x++;
            at(v, k) = x;
            found = x >= n && x - k >= m;
        }
    }
    int x = n, y = m;
    for (d--; d >= 0; d--) {
        auto& row = trace[static_cast<size_t>(d)];
        const int k = x - y, before = down(row, k, d) ? k + 1 : k - 1;
        const int from_x = d == 0 ? 0 : at(row, before), from_y = d == 0 ? 0 : from_x - before;
        while (x > from_x && y > from_y) signs.push_back(' '), x--, y--;
        if (d == 0) break;
        signs.push_back(x > from_x ? '-' : '+');
        x = from_x, y = from_y;
    }
    std::reverse(signs.begin(), signs.end());
    return true;
}

std::vector<Edit> edits_of(const std::vector<std::string_view>& from, const std::vector<std::string_view>& to) {
    size_t head = 0, tail = 0;
    while (head < from.size() && head < to.size() && from[head] == to[head]) head++;
    while (tail < from.size() - head && tail < to.size() - head && from[from.size() - 1 - tail] == to[to.size() - 1 - tail]) tail++;
    std::unordered_map<std::string_view, uint32_t> ids;
    const auto numbers = [&](const std::vector<std::string_view>& lines) {
        std::vector<uint32_t> out;
        for (size_t i = head; i < lines.size() - tail; i++) out.push_back(ids.emplace(lines[i], static_cast<uint32_t>(ids.size())).first->second);
        return out;
    };
    const auto a = numbers(from), b = numbers(to);
    std::vector<char> signs(head, ' '), middle;
    if (!myers(a, b, middle)) {
        middle.assign(a.size(), '-');
        middle.insert(middle.end(), b.size(), '+');
    }
    signs.insert(signs.end(), middle.begin(), middle.end());
    signs.insert(signs.end(), tail, ' ');
    std::vector<Edit> out;
    size_t x = 0, y = 0;
    for (const char sign : signs) {
        out.push_back({sign, x, y});
        x += sign != '+', y += sign != '-';
    }
    return out;
}

/// "3,4", "3", or "2,0" as diff -u counts.
std::string range(size_t first, size_t count) {
    if (count == 0) return fmt::format("{},0", first);
    return count == 1 ? fmt::format("{}", first + 1) : fmt::format("{},{}", first + 1, count);
}

}  // namespace

std::string unified_diff(std::string_view from, std::string_view to, const std::string& from_name, const std::string& to_name) {
    if (from == to && from_name.empty() == to_name.empty()) return "";
    const auto a = lines_of(from), b = lines_of(to);
    const auto edits = edits_of(a, b);
    std::string out = fmt::format("--- {}\n+++ {}\n", from_name.empty() ? "/dev/null" : from_name, to_name.empty() ? "/dev/null" : to_name);
    for (size_t i = 0; i < edits.size();) {
        if (edits[i].sign == ' ') {
            i++;
            continue;
        }
        size_t end = i + 1, last = i;   // one hunk while changes are at most twice the context apart
        for (; end < edits.size() && end - last <= 2 * kContext; end++)
            if (edits[end].sign != ' ') last = end;
        const size_t first = i > kContext ? i - kContext : 0;
        end = std::min(last + 1 + kContext, edits.size());
        size_t removed = 0, added = 0;
        std::string body;
        for (size_t k = first; k < end; k++) {
            const Edit& e = edits[k];
            const std::string_view line = e.sign == '+' ? b[e.to] : a[e.from];
            body += e.sign;
            body += line;
            if (!line.ends_with('\n')) body += "\n\\ No newline at end of file\n";
            removed += e.sign != '+', added += e.sign != '-';
        }
        out += fmt::format("@@ -{} +{} @@\n", range(edits[first].from, removed), range(edits[first].to, added)) + body;
        i = end;
    }
    return out;
}

}  // namespace sluice::ctl
