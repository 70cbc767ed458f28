// Line by line, because a file that does not parse must be hidden too.
// In: text. Out: text.
// Owns nothing.
// A YAML document ends at a line `---`; JSON and flow style put many fields on a line, which is then hidden whole.
#include "ctrl/model/redact.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <random>

#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

constexpr std::string_view kHidden = "[redacted]";
constexpr std::array<std::string_view, 14> kShown = {"apiVersion", "kind", "metadata", "name",  "namespace", "type",      "labels",
                                                     "annotations", "data", "stringData", "items", "immutable", "resourceVersion", "uid"};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

std::string_view stripped(std::string_view text) {
    const size_t start = text.find_first_not_of(" \t\r");
    return start == text.npos ? std::string_view() : text.substr(start, text.find_last_not_of(" \t\r") - start + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (true) {
        const size_t end = text.find('\n');
        out.push_back(text.substr(0, end));
        if (end == text.npos) return out;
        text.remove_prefix(end + 1);
    }
}

/// kind: Secret, in any spelling a parser or a person may take for it; or what only a Secret holds.
bool speaks_of_secrets(std::string_view line) {
    const std::string low = lower(line);
    for (size_t at = low.find("kind"); at != low.npos; at = low.find("kind", at + 4)) {
        size_t value = at + 4;
        while (value < low.size() && (low[value] == '"' || low[value] == '\'' || low[value] == ' ' || low[value] == '\t' || low[value] == ':')) value++;
        if (std::string_view(low).substr(value).starts_with("secret")) return true;
    }
    return contains(low, "stringdata") || contains(low, "tls.key") || contains(low, "private key-----") ||
           contains(line, "LS0tLS1CRUdJTi");   // base64 of -----BEGIN
}

uint64_t process_key() {
    static const uint64_t key = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
    return key;
}

std::string hidden(std::string_view line, std::string_view mark) {
    size_t start = line.find_first_not_of(" \t-");
    if (start == line.npos || line.substr(start).starts_with('#')) return start == line.npos ? std::string(line) : std::string(line.substr(0, start)) + "# " + std::string(mark);
    const size_t colon = line.find(':', start);
    std::string_view key = colon == line.npos ? std::string_view() : stripped(line.substr(start, colon - start));
    if (key.size() >= 2 && (key.front() == '"' || key.front() == '\'') && key.back() == key.front()) key = key.substr(1, key.size() - 2);
    const bool flow = line.find_first_of("{}[]", start) != line.npos;
    const bool plain_key = !key.empty() && key.size() <= 64 && key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == key.npos;
    if (flow || !plain_key) return std::string(line.substr(0, start)) + std::string(mark);
    for (const std::string_view shown : kShown)
        if (key == shown && (shown != "data" && shown != "stringData")) return std::string(line);
    const std::string_view value = stripped(line.substr(colon + 1));
    if (value.empty()) return std::string(line);
    return std::string(line.substr(0, colon + 1)) + " " + std::string(mark);
}

}  // namespace

std::vector<bool> secret_lines(std::string_view text) {
    const auto lines = lines_of(text);
    std::vector<bool> out;
    for (size_t begin = 0; begin < lines.size();) {
        size_t end = begin + 1;
        while (end < lines.size() && !lines[end].starts_with("---")) end++;
        bool secret = false;
        for (size_t i = begin; i < end && !secret; i++) secret = speaks_of_secrets(lines[i]);
        if (secret) {
            out.resize(lines.size());
            for (size_t i = begin; i < end; i++) out[i] = !lines[i].starts_with("---") || lines[i].size() > 3;
        }
        begin = end;
    }
    return out;
}

std::string redact_line(std::string_view line) { return hidden(line, kHidden); }

std::string redact(std::string_view text) {
    const auto secret = secret_lines(text);
    if (secret.empty()) return std::string(text);
    const auto lines = lines_of(text);
    std::string out;
    for (size_t i = 0; i < lines.size(); i++) {
        if (i) out += '\n';
        const uint64_t tag = std::hash<std::string>{}(std::to_string(process_key()) + std::string(lines[i])) & 0xffff;
        out += secret[i] ? hidden(lines[i], fmt::format("[redacted {:04x}]", tag)) : std::string(lines[i]);
    }
    return out;
}

}  // namespace sluice::model
