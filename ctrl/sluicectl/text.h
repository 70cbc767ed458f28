// How values look to people: tables, numbers with separators, ages, and JSON as YAML. Pure.
// Text that came from files or peers is stripped of control characters before it reaches a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/sluicectl/client.h"

namespace sluice::ctl {

class Table {
 public:
    struct Column {
        std::string name;
        bool right = false;       // numbers
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    bool empty() const { return rows_.empty(); }
    /// Columns two spaces apart, no trailing space, one line a row.
    std::string text() const;

 private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

std::string grouped(uint64_t n);              // 38,412
std::string age(double seconds);              // 12s, 2m, 3h5m, 3d2h
std::string speed(uint64_t mbps);             // 25G, 100M
std::string printable(std::string_view text);
std::string count_of(uint64_t n, std::string_view noun);   // "1 route", "12 routes"

std::string to_yaml(const Json& json);

// Fields of an answer; absent and null read as empty or 0, so that an older gateway can be asked too.
std::string text_of(const Json& json, const char* key);
uint64_t number_of(const Json& json, const char* key);
double real_of(const Json& json, const char* key);
bool flag_of(const Json& json, const char* key);
const Json& child_of(const Json& json, const char* key);   // null value where absent

}  // namespace sluice::ctl
