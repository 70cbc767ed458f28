// Hostile mesh files: parse, read into messages, check, and render every finding.
// In: bytes as one file of a directory. Out: nothing; a crash, a leak or a hang is the finding.
// The first byte chooses tight caps or the real ones, so that caps are reached by small inputs.
// YAML 1.2 by yaml-cpp; what is rendered must be valid for a terminal: no control characters but newline.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ctrl/model/check.h"
#include "ctrl/model/codes.h"
#include "ctrl/model/object_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    sluice::yaml::Limits limits;
    if (data[0] & 1) {
        limits.nodes_max = 200;
        limits.alias_nodes_max = 20;
        limits.depth_max = 12;
    }
    const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
    std::vector<sluice::Diagnostic> out;
    sluice::model::MeshConfig mesh;
    sluice::model::read_objects(sluice::yaml::parse("mesh/fuzz.yaml", text, out, limits), mesh, out);
    sluice::model::check(mesh, true, out);
    sluice::sort_by_place(out);
    if (out.size() > sluice::kFindingsMax + 1) std::abort();   // and perhaps the one that ended the file
    for (const auto& finding : out)
        if (!sluice::find_code(finding.code) || (finding.line > 0) != (finding.column > 0)) std::abort();
    for (const char c : sluice::render(out, 1)) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n') || byte == 0x7f) std::abort();
    }
    for (const char c : sluice::render_json(out))
        if (static_cast<unsigned char>(c) < 0x20) std::abort();
    return 0;
}
