// The steps of an analysis; each adds its findings, and what was found wrong does not keep the next from looking.
// In: Request. Out: Analysis.
// Mesh objects point into their files, which the MeshConfig keeps alive.
// Order of --check: the gateway's file, the machine, mesh files, objects against objects, the mesh for this gateway.
#include "ctrl/analyze/analyze.h"

#include <ctime>
#include <filesystem>

#include "ctrl/analyze/inputs.h"
#include "ctrl/analyze/machine.h"
#include "ctrl/analyze/proxy_node.h"
#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"
#include "ctrl/source/certificate_files.h"
#include "ctrl/source/directory.h"
#include "ctrl/translate/translate.h"

namespace sluice::analyze {
namespace {

void append(std::vector<Diagnostic>& to, std::vector<Diagnostic> from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// The gateway's own file. Returns its mesh directory, "" when the file does not say or cannot be read.
std::string read_host(const std::string& path, Analysis& out) {
    host::Reading reading = host::read_file(path);
    if (!std::filesystem::exists(path)) out.report.readable = false;
    out.host = std::move(reading.host);
    append(out.report.findings, std::move(reading.diagnostics));
    if (out.host && reading.file) check_machine(*out.host, *reading.file, this_machine(), out.report.findings);
    return reading.mesh_directory;
}

void read_paths(const Request& request, Analysis& out) {
    Inputs inputs = read_inputs(request.paths, request.in);
    out.report.readable = out.report.readable && inputs.exist;
    out.report.files += inputs.files.size();
    std::vector<Diagnostic> findings = std::move(inputs.errors);
    auto mesh = std::make_shared<model::MeshConfig>();
    for (Input& input : inputs.files) {
        mesh->files.push_back(input.name);
        model::read_objects(yaml::parse(std::move(input.name), std::move(input.text), findings), *mesh, findings);
    }
    model::check(*mesh, /*references=*/!has_errors(findings), findings);
    note_cut(findings, request.paths.front());
    if (!has_errors(findings)) out.mesh = std::move(mesh);
    append(out.report.findings, std::move(findings));
}

void read_directory(const std::string& directory, Analysis& out) {
    // Named as the running gateway names it.
    source::Load load = source::load_directory(directory, std::filesystem::path(directory).lexically_normal().filename().string());
    out.report.files += load.file_count;
    out.mesh = std::move(load.mesh);
    out.mesh_hash = std::move(load.hash);
    append(out.report.findings, std::move(load.diagnostics));
}

void translate_for(const host::GatewayHost& host, Analysis& out) {
    translate::ProxyNode node = proxy_node(host);
    auto files = std::make_shared<std::map<std::string, translate::FileText>>();
    for (auto& [path, text] : source::read_certificate_files(translate::certificate_files(*out.mesh, node), node.mesh_directory))
        (*files)[path] = {std::move(text.text), std::move(text.error)};
    node.files = std::move(files);
    auto resources = translate::translate(*out.mesh, node, &out.report.findings);
    if (!resources) return append(out.report.findings, std::move(resources.error()));
    std::vector<Diagnostic> certificates;
    translate::check_certificates(*resources, std::time(nullptr), /*refusals=*/true, certificates);
    if (!has_errors(certificates)) out.resources = std::make_shared<const xds::ResourceSet>(std::move(*resources));
    append(out.report.findings, std::move(certificates));
}

}  // namespace

Analysis analyze(const Request& request) {
    Analysis out;
    std::string directory;
    if (request.host_file) directory = read_host(*request.host_file, out);
    if (!request.paths.empty()) read_paths(request, out);
    else if (!directory.empty()) read_directory(directory, out);
    if (out.host && out.mesh) translate_for(*out.host, out);
    sort_by_place(out.report.findings);
    return out;
}

}  // namespace sluice::analyze
