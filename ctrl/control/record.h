// What is remembered of one revision, and how it is written down: metadata as JSON, the files as they were, each sealed with a
// checksum, so that a cut or flipped byte is noticed. In: records, file sets. Out: bytes, and back, or why not.
// Plain values, no I/O.
// Format 1: a line "sluice-KIND 1 XXH3-64-OF-THE-REST", then the rest. docs/decisions/0085-revisions-on-disk.md
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/source/files.h"

namespace sluice::control {

/// What made a revision.
enum class Origin : uint8_t { kStart, kEdit, kApply, kRollback };
std::string_view to_string(Origin origin);   // start, edit, apply, rollback

enum class Fate : uint8_t { kApplied, kRefused, kDamaged };
std::string_view to_string(Fate fate);       // applied, refused, damaged

struct Record {
    uint64_t revision = 0;
    Fate fate = Fate::kApplied;
    Origin origin = Origin::kStart;
    uint64_t rolled_back_to = 0;             // of kRollback
    std::string by;                          // of kApply, kRollback: who asked, as they said
    std::string hash;                        // of the files
    size_t files = 0, bytes = 0;
    std::string mesh_directory;              // whose revision it is
    std::chrono::system_clock::time_point since;
    uint64_t before = 0;                     // the revision then in force; 0: none
    source::FileChanges changes;             // against that one
    std::optional<std::chrono::microseconds> build_time, time_to_live;
    std::vector<Diagnostic> diagnostics;     // why refused; warnings otherwise
    std::string damage;                      // of kDamaged: what is wrong with its file
};

std::string write_record(const Record& record);
std::expected<Record, std::string> read_record(std::string_view text);

std::string write_files(const source::FileSet& files);
/// `hash` is what the files must have.
std::expected<source::FileSetPtr, std::string> read_files(std::string_view text, std::string_view hash);

}  // namespace sluice::control
