// The command line of a benchmark program: options bound to variables, each with its range, --help for all of them (CLI11).
// In: argc and argv. Out: the variables, or the exit code to end with: 0 after --help, 2 for what was wrong (said on stderr).
// Owns nothing but the parser.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

namespace sluice::perf {

class CommandLine {
 public:
    explicit CommandLine(std::string purpose) : app_(std::move(purpose)) {}

    /// "--name VALUE", between `least` and `most`.
    template <typename T>
    CommandLine& number(const std::string& name, T& value, T least, T most, const std::string& help) {
        app_.add_option(name, value, help)->check(CLI::Range(least, most))->capture_default_str();
        return *this;
    }
    CommandLine& seed(uint64_t& value) {
        app_.add_option("--seed", value, "of everything drawn")->capture_default_str();
        return *this;
    }
    CommandLine& required_text(const std::string& name, std::string& value, const std::string& help) {
        app_.add_option(name, value, help)->required();
        return *this;
    }
    CommandLine& text(const std::string& name, std::string& value, const std::string& help) {
        app_.add_option(name, value, help)->capture_default_str();
        return *this;
    }
    CommandLine& flag(const std::string& name, bool& value, const std::string& help) {
        app_.add_flag(name, value, help);
        return *this;
    }
    /// Empty: go on.
    std::optional<int> read(int argc, char** argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app_.exit(error) == 0 ? 0 : 2;
        }
        return std::nullopt;
    }

 private:
    CLI::App app_;
};

}  // namespace sluice::perf
