// Names of addresses (see names.h).
#include "perf/line_recorder/names.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace sluice::perf {

namespace {
std::string hex(uintptr_t address) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%" PRIxPTR, address);
    return text;
}

/// The symbol that holds the address, or the place in its file.
std::string place(uintptr_t address) {
    Dl_info info{};
    void* extra = nullptr;
    if (dladdr1(reinterpret_cast<const void*>(address), &info, &extra, RTLD_DL_SYMENT) == 0) return "";
    const std::string file = info.dli_fname ? info.dli_fname : "?";
    const auto* entry = static_cast<const ElfW(Sym)*>(extra);
    const uintptr_t offset = address - reinterpret_cast<uintptr_t>(info.dli_saddr);
    if (!info.dli_sname || !entry || offset >= entry->st_size) return file + "+" + hex(address - reinterpret_cast<uintptr_t>(info.dli_fbase));
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
    return (plain ? plain.get() : info.dli_sname) + ("+" + hex(offset)) + " in " + file;
}
}  // namespace

std::string code_name(const void* return_address) {
    if (!return_address) return "?";
    const uintptr_t at = reinterpret_cast<uintptr_t>(return_address) - 1;   // within the call
    Dl_info info{};
    if (dladdr(return_address, &info) == 0) return hex(at);
    const std::string command = "addr2line -Cfpsi -e '/proc/" + std::to_string(getpid()) + "/exe' " + hex(at - reinterpret_cast<uintptr_t>(info.dli_fbase));
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    char line[512];
    while (pipe && std::fgets(line, sizeof line, pipe.get())) {
        std::string one = line;
        while (!one.empty() && (one.back() == '\n' || one.back() == ' ')) one.pop_back();
        text += (text.empty() ? "" : " ") + one;
    }
    return text.empty() || text.starts_with("??") ? place(at) : text;   // a library without debug information
}

std::string data_name(uintptr_t address) {
    if (std::string symbol = place(address); !symbol.empty()) return symbol;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "r"), std::fclose);
    char line[512];
    while (maps && std::fgets(line, sizeof line, maps.get())) {
        uintptr_t from = 0, to = 0;
        int name = 0;
        if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &name) < 2 || address < from || address >= to) continue;
        std::string where = line + name;
        while (!where.empty() && where.back() == '\n') where.pop_back();
        return (where.empty() ? "mapped memory" : where) + "+" + hex(address - from);
    }
    return "unknown memory";
}

}  // namespace sluice::perf
