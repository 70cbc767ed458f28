// Date arithmetic by <chrono>'s civil calendar: no locale, no time zone file, no lock (localtime has all three).
// Specifiers: %Y %m %d %H %M %S %F %T %s %e %b %a %j %y %Z %z %%, %Nf (N digits, 1-9) and %ENS (seconds with N digits).
#include "telemetry/access_log_time.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

namespace sluice::telemetry {

namespace {

constexpr std::string_view kLetters = "YmdHMSFTsebajyZz%";
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct Civil {
    int year;
    unsigned month, day, weekday, day_of_year;
    unsigned hour, minute, second, microsecond;
};

Civil civil(uint64_t unix_us) {
    using namespace std::chrono;
    const sys_time<microseconds> at{microseconds(unix_us)};
    const sys_days day = floor<days>(at);
    const year_month_day ymd{day};
    const auto of_day = static_cast<uint64_t>((at - day).count());
    const sys_days new_year{ymd.year() / January / 1};
    return {int{ymd.year()}, unsigned{ymd.month()}, unsigned{ymd.day()}, weekday{day}.c_encoding(),
            static_cast<unsigned>((day - new_year).count()) + 1,
            static_cast<unsigned>(of_day / 3'600'000'000), static_cast<unsigned>(of_day / 60'000'000 % 60),
            static_cast<unsigned>(of_day / 1'000'000 % 60), static_cast<unsigned>(of_day % 1'000'000)};
}

/// `digits` of the fraction; beyond microseconds, zeros.
void append_fraction(unsigned microsecond, unsigned digits, std::string& out) {
    char text[10] = "000000000";
    for (int i = 5; i >= 0; i--, microsecond /= 10) text[i] = static_cast<char>('0' + microsecond % 10);
    out.append(text, digits);
}

void append_letter(char letter, const Civil& c, uint64_t unix_us, std::string& out) {
    auto to = std::back_inserter(out);
    switch (letter) {
        case 'Y': fmt::format_to(to, "{:04}", c.year); break;
        case 'y': fmt::format_to(to, "{:02}", c.year % 100); break;
        case 'm': fmt::format_to(to, "{:02}", c.month); break;
        case 'd': fmt::format_to(to, "{:02}", c.day); break;
        case 'e': fmt::format_to(to, "{:2}", c.day); break;
        case 'H': fmt::format_to(to, "{:02}", c.hour); break;
        case 'M': fmt::format_to(to, "{:02}", c.minute); break;
        case 'S': fmt::format_to(to, "{:02}", c.second); break;
        case 'F': fmt::format_to(to, "{:04}-{:02}-{:02}", c.year, c.month, c.day); break;
        case 'T': fmt::format_to(to, "{:02}:{:02}:{:02}", c.hour, c.minute, c.second); break;
        case 's': fmt::format_to(to, "{}", unix_us / 1'000'000); break;
        case 'b': out += kMonths[c.month - 1]; break;
        case 'a': out += kDays[c.weekday]; break;
        case 'j': fmt::format_to(to, "{:03}", c.day_of_year); break;
        case 'Z': out += "UTC"; break;
        case 'z': out += "+0000"; break;
        default: out += '%';
    }
}

bool is_digit(char c) { return c >= '1' && c <= '9'; }

/// Length of the specifier at the start of `rest` (which begins with '%'); 0 if there is none such.
size_t specifier(std::string_view rest) {
    if (rest.size() >= 2 && kLetters.find(rest[1]) != rest.npos) return 2;
    if (rest.size() >= 3 && is_digit(rest[1]) && rest[2] == 'f') return 3;
    if (rest.size() >= 4 && rest[1] == 'E' && is_digit(rest[2]) && rest[3] == 'S') return 4;
    return 0;
}

}  // namespace

std::optional<size_t> check_time_format(std::string_view format) {
    for (size_t i = 0; i < format.size();) {
        const size_t length = format[i] == '%' ? specifier(format.substr(i)) : 1;
        if (length == 0) return i;
        i += length;
    }
    return std::nullopt;
}

void append_time(std::string_view format, uint64_t unix_us, std::string& out) {
    const Civil c = civil(unix_us);
    for (size_t i = 0; i < format.size();) {
        const size_t length = format[i] == '%' ? specifier(format.substr(i)) : 1;
        switch (length) {
            case 2: append_letter(format[i + 1], c, unix_us, out); break;
            case 3: append_fraction(c.microsecond, static_cast<unsigned>(format[i + 1] - '0'), out); break;
            case 4:
                append_letter('S', c, unix_us, out);
                out += '.';
                append_fraction(c.microsecond, static_cast<unsigned>(format[i + 2] - '0'), out);
                break;
            default: out += format[i];
        }
        i += length ? length : 1;
    }
}

}  // namespace sluice::telemetry
