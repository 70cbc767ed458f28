// What an address is called, for people: code by function, file and line (addr2line), data by symbol or by the mapping it lies in.
// In: addresses of this process. Out: text. Owns nothing; starts addr2line(1) once for each address, so only for reports.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::perf {

/// Of a call's or an access's return address: "function at file:line", inlined functions with where they were inlined.
std::string code_name(const void* return_address);
std::string data_name(uintptr_t address);

}  // namespace sluice::perf
