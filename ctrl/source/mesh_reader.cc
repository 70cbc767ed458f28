// The files of one reading beside those of the last.
// In: a FileSet. Out: a Load.
// What objects say about one another is told again as it was while nothing but endpoints changed (ctrl/model/shape.h).
#include "ctrl/source/mesh_reader.h"

#include <algorithm>
#include <unordered_map>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"
#include "ctrl/model/shape.h"

namespace sluice::source {
namespace {

void append(const model::MeshConfig& from, model::MeshConfig& to) {
    to.gateways.append(from.gateways);
    to.virtual_services.append(from.virtual_services);
    to.destination_rules.append(from.destination_rules);
    to.service_entries.append(from.service_entries);
    to.workload_entries.append(from.workload_entries);
    to.secrets.insert(to.secrets.end(), from.secrets.begin(), from.secrets.end());
}

/// As readers and checks do: less room for what is less bad.
void add(const std::vector<Diagnostic>& more, std::vector<Diagnostic>& findings) {
    for (const Diagnostic& d : more)
        if (findings.size() < room_for(d.severity)) findings.push_back(d);
}

}  // namespace

/// One document by itself; nullptr if reading it finds an error.
MeshReader::DocumentPtr MeshReader::read_document(const std::string& shown, std::string text, const yaml::Part& part) {
    work_.parsed++;
    auto document = std::make_shared<Document>();
    document->part = part;
    document->text = yaml::parse_part(shown, std::move(text), part.first_line, document->read_findings);
    if (has_errors(document->read_findings)) return nullptr;
    model::read_objects(document->text, document->objects, document->read_findings);
    if (has_errors(document->read_findings)) return nullptr;
    model::check_each(document->objects, document->own_findings);
    return document;
}

/// nullptr: only load_files() can say what the file is.
MeshReader::ReadFilePtr MeshReader::read(const File& file, const ReadFile* before) {
    const yaml::Limits limits;
    if (file.text.size() > limits.bytes_max) return nullptr;
    const auto parts = yaml::split(file.text);
    if (parts.empty()) return nullptr;
    // Two documents at one line are told apart by nothing, so there are none.
    std::unordered_map<int, const DocumentPtr*> at_line;
    if (before)
        for (const auto& document : before->documents) at_line.emplace(document->part.first_line, &document);
    auto out = std::make_shared<ReadFile>();
    out->name = file.name;
    size_t nodes = 0, alias_nodes = 0;
    for (const yaml::Part& part : parts) {
        const std::string_view text = std::string_view(file.text).substr(part.begin, part.end - part.begin);
        const auto same = at_line.find(part.first_line);
        const bool kept = same != at_line.end() && (*same->second)->text->text == text;
        out->documents.push_back(kept ? *same->second : read_document(shown_as_ + "/" + file.name, std::string(text), part));
        if (!out->documents.back()) return nullptr;
        nodes += out->documents.back()->text->nodes;
        alias_nodes += out->documents.back()->text->alias_nodes;
    }
    return nodes > limits.nodes_max || alias_nodes > limits.alias_nodes_max ? nullptr : out;
}

/// All documents as one config, in reading order.
void MeshReader::combine(const std::vector<ReadFilePtr>& files, model::MeshConfig& mesh, std::vector<Diagnostic>& findings) {
    for (const auto& file : files) {
        mesh.files.push_back(shown_as_ + "/" + file->name);
        work_.documents += file->documents.size();
        for (const auto& document : file->documents) {
            append(document->objects, mesh);
            add(document->read_findings, findings);
        }
    }
    for (const auto& file : files)
        for (const auto& document : file->documents) add(document->own_findings, findings);
}

/// Checks of objects against one another. False if one is there twice: an error that names both places.
bool MeshReader::check_together(const std::vector<ReadFilePtr>& files, model::MeshConfig& mesh) {
    work_.together = true;
    for (const auto& file : files)
        for (const auto& document : file->documents)
            for (const auto& [id, place] : document->objects.places)
                if (!mesh.places.emplace(id, place).second) return false;
    together_.clear();
    model::check_together(mesh, together_);
    return true;
}

/// True if what was told of the objects together still holds: they are the same ones but for endpoints, and nothing is told of
/// those that changed, whose text a finding would quote.
bool MeshReader::told_together(const model::MeshConfig& mesh) const {
    if (!mesh_ || mesh.gateways != mesh_->gateways || mesh.virtual_services != mesh_->virtual_services ||
        mesh.destination_rules != mesh_->destination_rules || !model::same_but_for_endpoints(mesh.service_entries, mesh_->service_entries) ||
        !model::same_but_for_endpoints(mesh.workload_entries, mesh_->workload_entries) ||
        !model::same_secrets(mesh, *mesh_))
        return false;
    const auto quotes_changed = [&](const auto& now, const auto& before) {
        for (size_t i = 0; i < now.size(); i++) {
            if (now.shared()[i] == before.shared()[i]) continue;
            const std::string id = now[i].id();
            if (std::any_of(together_.begin(), together_.end(), [&](const Diagnostic& d) { return d.object == id; })) return true;
        }
        return false;
    };
    return !quotes_changed(mesh.service_entries, mesh_->service_entries) && !quotes_changed(mesh.workload_entries, mesh_->workload_entries);
}

Load MeshReader::load_whole(Files files) {
    work_.whole = true;
    return load_files(std::move(files), shown_as_);
}

Load MeshReader::load(Files files) {
    work_ = {};
    if (!files.errors.empty()) return load_whole(std::move(files));
    std::vector<ReadFilePtr> read_files;
    for (const File& file : files.set->files) {
        const File* before = set_ ? set_->find(file.name) : nullptr;
        const ReadFilePtr known = before ? files_[static_cast<size_t>(before - set_->files.data())] : nullptr;
        read_files.push_back(known && before->text == file.text ? known : read(file, known.get()));
        if (!read_files.back()) return load_whole(std::move(files));
    }
    auto mesh = std::make_shared<model::MeshConfig>();
    std::vector<Diagnostic> findings;
    combine(read_files, *mesh, findings);
    mesh->hash = files.set->hash;
    if (!told_together(*mesh) && !check_together(read_files, *mesh)) {
        mesh_ = nullptr;
        return load_whole(std::move(files));
    }
    add(together_, findings);
    set_ = files.set;
    files_ = std::move(read_files);
    mesh_ = mesh;

    Load load;
    load.files = files.set;
    load.file_count = files.set->files.size();
    load.hash = files.set->hash;
    load.diagnostics = std::move(findings);
    note_cut(load.diagnostics, shown_as_);
    sort_by_place(load.diagnostics);
    if (has_errors(load.diagnostics)) return load;
    mesh->warnings = load.diagnostics;
    load.mesh = std::move(mesh);
    return load;
}

}  // namespace sluice::source
