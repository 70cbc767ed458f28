// Column widths count code points, not bytes. YAML strings are quoted (as JSON strings, which YAML 1.2 reads) unless plain
// text is certain to be read back as the same text.
#include "ctrl/sluicectl/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::ctl {

namespace {

size_t width(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Letters, digits and harmless signs, starting with a letter, and none of YAML's words.
bool is_plain(const std::string& text) {
    if (text.empty() || !std::isalpha(static_cast<unsigned char>(text[0]))) return false;
    if (!std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/'; })) return false;
    constexpr std::string_view kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords);
}

std::string scalar(const Json& json) {
    if (json.is_string() && is_plain(json.get<std::string>())) return json.get<std::string>();
    if (json.is_object()) return "{}";
    if (json.is_array()) return "[]";
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void write_yaml(const Json& json, size_t indent, bool in_list, std::string& out) {
    const std::string pad(indent, ' ');
    bool first = in_list;   // the first line stands behind "- "
    if (json.is_object() && !json.empty()) {
        for (const auto& [key, value] : json.items()) {
            out += (first ? "" : pad) + scalar(Json(key)) + ":";
            first = false;
            const bool nested = value.is_structured() && !value.empty();
            out += nested ? "\n" : " " + scalar(value) + "\n";
            if (nested) write_yaml(value, indent + (value.is_object() ? 2 : 0), false, out);
        }
    } else if (json.is_array() && !json.empty()) {
        for (const auto& item : json) {
            out += (first ? "" : pad) + "- ";
            first = false;
            write_yaml(item, indent + 2, true, out);
        }
    } else {
        out += scalar(json) + "\n";
    }
}

}  // namespace

std::string Table::text() const {
    std::vector<size_t> widths;
    for (const auto& column : columns_) widths.push_back(column.name.size());
    for (const auto& row : rows_)
        for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], width(row[i]));
    std::string out;
    const auto line = [&](auto&& cell) {
        std::string text;
        for (size_t i = 0; i < columns_.size(); i++) {
            const std::string value = cell(i);
            const std::string pad(widths[i] - width(value), ' ');
            if (i) text += "  ";
            text += columns_[i].right ? pad + value : value + pad;
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + "\n";
    };
    line([&](size_t i) { return columns_[i].name; });
    for (const auto& row : rows_) line([&](size_t i) { return i < row.size() ? row[i] : std::string(); });
    return out;
}

std::string grouped(uint64_t n) {
    std::string out = std::to_string(n);
    for (size_t i = out.size(); i > 3;) out.insert(i -= 3, ",");
    return out;
}

std::string age(double seconds) {
    const auto s = static_cast<uint64_t>(std::max(0.0, seconds));
    const auto two = [](uint64_t a, char x, uint64_t b, char y) { return b ? fmt::format("{}{}{}{}", a, x, b, y) : fmt::format("{}{}", a, x); };
    if (s < 60) return fmt::format("{}s", s);
    if (s < 3600) return fmt::format("{}m", s / 60);
    if (s < 86400) return two(s / 3600, 'h', s / 60 % 60, 'm');
    return two(s / 86400, 'd', s / 3600 % 24, 'h');
}

std::string speed(uint64_t mbps) {
    if (mbps == 0) return "";
    return mbps >= 1000 && mbps % 1000 == 0 ? fmt::format("{}G", mbps / 1000) : mbps >= 1000 ? fmt::format("{:.1f}G", static_cast<double>(mbps) / 1000) : fmt::format("{}M", mbps);
}

std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return out;
}

std::string count_of(uint64_t n, std::string_view noun) { return fmt::format("{} {}{}", grouped(n), noun, n == 1 ? "" : "s"); }

std::string to_yaml(const Json& json) {
    std::string out;
    write_yaml(json, 0, false, out);
    return out;
}

const Json& child_of(const Json& json, const char* key) {
    static const Json kNull;
    const auto found = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && found != json.end() ? *found : kNull;
}

std::string text_of(const Json& json, const char* key) {
    const Json& value = child_of(json, key);
    return value.is_string() ? printable(value.get<std::string>()) : "";
}

uint64_t number_of(const Json& json, const char* key) {
    const Json& value = child_of(json, key);
    return value.is_number() ? value.get<uint64_t>() : 0;
}

double real_of(const Json& json, const char* key) {
    const Json& value = child_of(json, key);
    return value.is_number() ? value.get<double>() : 0;
}

bool flag_of(const Json& json, const char* key) {
    const Json& value = child_of(json, key);
    return value.is_boolean() && value.get<bool>();
}

}  // namespace sluice::ctl
