// Reads a mesh directory's files again and again: what did not change since the last time is neither parsed nor checked again.
// In: all files as they are now. Out: what load_files() says of them (of more findings than are told, others may be left out);
// objects that did not change are the same objects.
// Owns the documents of the last reading. Files are taken apart at their `---` lines; a document is as before if its text and its
// first line are. Whatever is not plain (YAML directives, an object that is there twice) is left to load_files().
// Control thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/model/mesh_config.h"
#include "ctrl/model/together.h"
#include "ctrl/source/directory.h"

namespace sluice::source {

class MeshReader {
 public:
    explicit MeshReader(std::string shown_as) : shown_as_(std::move(shown_as)) {}
    Load load(Files files);
    /// Documents that the last load() parsed, of all there are.
    struct Work {
        size_t parsed = 0, documents = 0;
        bool whole = false;      // it was left to load_files()
        size_t together = 0;     // objects that were checked against others
    };
    const Work& work() const { return work_; }

 private:
    /// One document: its objects alone, and what is to be said of each for itself.
    struct Document {
        yaml::Part part;
        std::shared_ptr<const yaml::File> text;
        model::MeshConfig objects;
        std::vector<Diagnostic> read_findings, own_findings;
    };
    using DocumentPtr = std::shared_ptr<const Document>;
    struct ReadFile {
        std::string name;
        std::vector<DocumentPtr> documents;
    };
    using ReadFilePtr = std::shared_ptr<const ReadFile>;

    ReadFilePtr read(const File& file, const ReadFile* before);
    DocumentPtr read_document(const std::string& shown, std::string text, const yaml::Part& part);
    Load load_whole(Files files);
    std::optional<Load> load_wrong(const Files& files, const std::vector<ReadFilePtr>& read_files);
    void combine(const std::vector<ReadFilePtr>& files, model::MeshConfig& mesh, std::vector<Diagnostic>& findings);
    bool note_places(const std::vector<ReadFilePtr>& files);

    const std::string shown_as_;
    FileSetPtr set_;                                     // of the last reading that was combined, as are all below
    std::vector<ReadFilePtr> files_;                     // of each of its files
    Load load_;                                          // what was said of it
    std::vector<ReadFilePtr> placed_;                    // whose objects are in places_
    std::map<std::string, std::string> places_;          // of every object: id -> file:line
    model::Together together_;                           // what its objects say about one another
    Work work_;
};

}  // namespace sluice::source
