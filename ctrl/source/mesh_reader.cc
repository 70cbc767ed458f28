// The files of one reading beside those of the last.
// In: a FileSet. Out: a Load.
// A reading that is refused for what objects say about one another is kept like a good one; one with an error in a file is not.
#include "ctrl/source/mesh_reader.h"

#include <set>
#include <unordered_map>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

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

/// Keeps places_ up with the documents. False if one object is there twice: an error that names both places.
bool MeshReader::note_places(const std::vector<ReadFilePtr>& files) {
    const std::set<ReadFilePtr> now(files.begin(), files.end()), before(placed_.begin(), placed_.end());
    const auto each_changed = [](const std::vector<ReadFilePtr>& of, const std::set<ReadFilePtr>& others, auto&& visit) {
        for (const auto& file : of) {
            if (others.contains(file)) continue;
            for (const auto& document : file->documents)
                for (const auto& [id, place] : document->objects.places) visit(id, place);
        }
    };
    bool once = true;
    each_changed(placed_, now, [&](const std::string& id, const std::string&) { places_.erase(id); });
    each_changed(files, before, [&](const std::string& id, const std::string& place) { once &= places_.emplace(id, place).second; });
    placed_ = files;
    if (!once) placed_.clear(), places_.clear();
    return once;
}

Load MeshReader::load_whole(Files files) {
    work_.whole = true;
    return load_files(std::move(files), shown_as_);
}

/// Files with errors are read alone, as a whole; what the others say for themselves is known. Nothing: there is no error in any, or an
/// object may be there twice.
std::optional<Load> MeshReader::load_wrong(const Files& files, const std::vector<ReadFilePtr>& read_files) {
    std::vector<Diagnostic> findings, own_findings;
    std::set<std::string> ids;
    bool once = true;
    for (size_t i = 0; i < read_files.size(); i++) {
        if (read_files[i]) {
            for (const auto& document : read_files[i]->documents) {
                add(document->read_findings, findings);
                add(document->own_findings, own_findings);
                for (const auto& [id, place] : document->objects.places) once &= ids.insert(id).second;
            }
            continue;
        }
        const File& file = files.set->files[i];
        model::MeshConfig alone;
        std::vector<Diagnostic> said;
        model::read_objects(yaml::parse(shown_as_ + "/" + file.name, file.text, said), alone, said);
        if (!has_errors(said)) return std::nullopt;
        add(said, findings);
        said.clear();
        model::check_each(alone, said);
        add(said, own_findings);
        for (const auto& [id, place] : alone.places) once &= ids.insert(id).second;
    }
    if (!once) return std::nullopt;
    Load load;
    load.files = files.set;
    load.file_count = files.set->files.size();
    load.hash = files.set->hash;
    load.diagnostics = std::move(findings);
    add(own_findings, load.diagnostics);
    note_cut(load.diagnostics, shown_as_);
    sort_by_place(load.diagnostics);
    return load;
}

Load MeshReader::load(Files files) {
    work_ = {};
    if (!files.errors.empty()) return load_whole(std::move(files));
    if (files.set == set_) return load_;
    std::vector<ReadFilePtr> read_files;
    bool good = true;
    for (const File& file : files.set->files) {
        const File* before = set_ ? set_->find(file.name) : nullptr;
        const ReadFilePtr known = before ? files_[static_cast<size_t>(before - set_->files.data())] : nullptr;
        read_files.push_back(known && before->text == file.text ? known : read(file, known.get()));
        good &= read_files.back() != nullptr;
    }
    if (!good) {
        auto wrong = load_wrong(files, read_files);
        return wrong ? std::move(*wrong) : load_whole(std::move(files));
    }
    auto mesh = std::make_shared<model::MeshConfig>();
    std::vector<Diagnostic> findings;
    combine(read_files, *mesh, findings);
    mesh->hash = files.set->hash;
    set_ = files.set;
    files_ = std::move(read_files);
    if (!note_places(files_)) {
        load_ = load_whole(std::move(files));
        return load_;
    }
    std::vector<Diagnostic> together;
    together_.check(mesh, places_, together);
    work_.together = together_.looked_at();
    add(together, findings);

    load_ = {};
    load_.files = files.set;
    load_.file_count = files.set->files.size();
    load_.hash = files.set->hash;
    load_.diagnostics = std::move(findings);
    conclude(load_, std::move(mesh), shown_as_);
    return load_;
}

}  // namespace sluice::source
