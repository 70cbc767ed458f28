// The event handler that builds the located tree, and look-ups in it.
// In: yaml-cpp events. Out: yaml::File, findings.
// The builder's stack owns unfinished nodes; each moves into its parent when it ends.
// YAML 1.2; yaml-cpp throws on malformed input, and so do our caps: both are caught in parse().
#include "ctrl/model/redact.h"
#include "ctrl/model/yaml.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "ctrl/model/codes.h"

namespace sluice::yaml {
namespace {

Place place_in(const File& file, const YAML::Mark& mark) { return {mark.line + file.first_line, mark.column + 1}; }

// Our own refusals while parsing; they end the file like a syntax error does.
struct Refusal {
    Place at;
    std::string code;
    std::string message;
    std::string cure;
};

size_t count_nodes(const Node& node) {
    size_t count = 1;
    for (const Node& item : node.items) count += count_nodes(item);
    for (const Entry& entry : node.entries) count += count_nodes(entry.value);
    return count;
}

int depth_of(const Node& node) {
    int deepest = 0;
    for (const Node& item : node.items) deepest = std::max(deepest, depth_of(item));
    for (const Entry& entry : node.entries) deepest = std::max(deepest, depth_of(entry.value));
    return deepest + 1;
}

class Builder : public YAML::EventHandler {
 public:
    Builder(File& file, const Limits& limits, std::vector<Diagnostic>& out)
        : file_(file), limits_(limits), out_(out) {}

    void OnDocumentStart(const YAML::Mark& mark) override {
        // At a stray `,` or `]` yaml-cpp begins one empty document after another and gets no further.
        if (mark.pos == document_at_)
            throw Refusal{place_of(mark), "SLC0101", "not YAML: a document cannot begin here", "remove the character, or the line"};
        document_at_ = mark.pos;
        stack_.clear();
        anchors_.clear();
    }
    void OnDocumentEnd() override {}
    size_t nodes() const { return nodes_; }
    size_t alias_nodes() const { return alias_nodes_; }

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Node node;
        // Nothing after `key:` has no place of its own: yaml-cpp names what follows.
        const bool is_value = !stack_.empty() && stack_.back().key;
        node.at = is_value ? stack_.back().key->at : place_of(mark);
        finish(std::move(node), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end())
            throw Refusal{place_of(mark), "SLC0119", "an alias inside its own anchor never ends", "write the value out"};
        const size_t added = count_nodes(found->second);
        alias_nodes_ += added;
        nodes_ += added;
        if (alias_nodes_ > limits_.alias_nodes_max)
            throw Refusal{place_of(mark), "SLC0119",
                          fmt::format("aliases expand to more than {} values", limits_.alias_nodes_max),
                          "write the values out"};
        check_caps(place_of(mark), depth_of(found->second));
        attach(Node(found->second));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        Node node;
        node.kind = Node::Kind::kScalar;
        node.at = place_of(mark);
        node.text = value;
        node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
        if (!node.quoted) check_tag(mark, tag);
        finish(std::move(node), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        start(Node::Kind::kSequence, mark, tag, anchor);
    }
    void OnSequenceEnd() override { end(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        start(Node::Kind::kMap, mark, tag, anchor);
    }
    void OnMapEnd() override { end(); }

 private:
    struct Frame {
        Node node;
        YAML::anchor_t anchor = 0;
        std::optional<Entry> key;  // read, its value still to come
        std::unordered_map<std::string, size_t> index;  // of big maps' keys
    };

    Place place_of(const YAML::Mark& mark) const { return place_in(file_, mark); }

    void check_tag(const YAML::Mark& mark, const std::string& tag) {
        if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) {
            if (tag != "tag:yaml.org,2002:binary") return;
        }
        throw Refusal{place_of(mark), "SLC0101", "the tag `" + tag + "` has no meaning here", "remove it"};
    }

    void check_caps(Place at, int deeper = 1) {
        if (static_cast<int>(stack_.size()) + deeper > limits_.depth_max)
            throw Refusal{at, "SLC0119", fmt::format("nested deeper than {} levels", limits_.depth_max),
                          "close a bracket, or flatten it"};
        if (nodes_ > limits_.nodes_max)
            throw Refusal{at, "SLC0119", fmt::format("more than {} values in one file", limits_.nodes_max),
                          "split the file"};
    }

    void start(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        check_tag(mark, tag);
        check_caps(place_of(mark));
        Frame frame;
        frame.node.kind = kind;
        frame.node.at = place_of(mark);
        frame.anchor = anchor;
        stack_.push_back(std::move(frame));
    }

    void end() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        finish(std::move(frame.node), frame.anchor);
    }

    void finish(Node node, YAML::anchor_t anchor) {
        ++nodes_;
        check_caps(node.at);
        if (anchor != 0) anchors_[anchor] = node;
        attach(std::move(node));
    }

    void attach(Node node) {
        if (stack_.empty()) {
            if (node.kind != Node::Kind::kNull) file_.documents.push_back(std::move(node));
            return;
        }
        Frame& top = stack_.back();
        if (top.node.kind == Node::Kind::kSequence) {
            top.node.items.push_back(std::move(node));
        } else if (!top.key) {
            read_key(top, node);
        } else {
            Entry entry = std::move(*top.key);
            top.key.reset();
            entry.value = std::move(node);
            if (keep(top, entry)) top.node.entries.push_back(std::move(entry));
        }
    }

    static void read_key(Frame& top, const Node& node) {
        if (node.kind != Node::Kind::kScalar)
            throw Refusal{node.at, "SLC0101", "a key must be text", "quote it, or start a list item with `- `"};
        top.key = Entry{node.text, node.at, {}};
    }

    // Where the parser is, as a field path: the keys and indices of all that is open.
    std::string path_to(const std::string& key) const {
        std::string path;
        for (const Frame& frame : stack_) {
            if (frame.node.kind == Node::Kind::kSequence) path += fmt::format("[{}]", frame.node.items.size());
            else if (frame.key) path += path_key(frame.key->key);
        }
        path += path_key(key);
        return path.starts_with('.') ? path.substr(1) : path;
    }

    // YAML 1.2 (3.2.1.3): keys are unique. Two values for one key would mean "the last wins" to one
    // reader and "the first" to another.
    bool keep(Frame& top, const Entry& entry) {
        const Entry* first = find_key(top, entry.key);
        if (!first) return true;
        if (out_.size() >= kFindingsMax) return false;
        Diagnostic d = diagnostic(file_, entry.at, "SLC0121",
                                  fmt::format("`{}` is given twice, first in line {}", entry.key,
                                              first->at.line));
        d.caret_width = static_cast<int>(entry.key.size());
        d.field = path_to(entry.key);
        d.cure = "remove one";
        out_.push_back(std::move(d));
        return false;
    }

    // Linear for the usual handful of keys; a big map gets an index so that it stays linear in all.
    const Entry* find_key(Frame& top, const std::string& key) {
        const std::vector<Entry>& entries = top.node.entries;
        if (entries.size() < kIndexFrom) return top.node.entry(key);
        for (size_t i = top.index.size(); i < entries.size(); ++i) top.index.emplace(entries[i].key, i);
        const auto found = top.index.find(key);
        return found == top.index.end() ? nullptr : &entries[found->second];
    }

    static constexpr size_t kIndexFrom = 32;

    int document_at_ = -1;
    File& file_;
    const Limits& limits_;
    std::vector<Diagnostic>& out_;
    std::vector<Frame> stack_;
    std::unordered_map<YAML::anchor_t, Node> anchors_;
    size_t nodes_ = 0;
    size_t alias_nodes_ = 0;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. NUL ends no text we read.
std::optional<size_t> first_bad_byte(std::string_view text) {
    size_t i = 0;
    while (i < text.size()) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead == 0) return i;
        const size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (length == 0 || i + length > text.size()) return i;
        unsigned code = length == 1 ? lead : lead & (0x7fu >> length);
        for (size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0) != 0x80) return i;
            code = code << 6 | (next & 0x3fu);
        }
        constexpr unsigned kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return i;
        i += length;
    }
    return std::nullopt;
}

Place place_at(const File& file, size_t offset) {
    const auto next = std::upper_bound(file.line_starts.begin(), file.line_starts.end(), offset);
    const auto line = static_cast<int>(next - file.line_starts.begin());
    return {line - 1 + file.first_line, static_cast<int>(offset - *(next - 1)) + 1};
}

void append(const File& file, const Refusal& refusal, std::vector<Diagnostic>& out) {
    Diagnostic d = diagnostic(file, refusal.at, refusal.code, refusal.message);
    d.cure = refusal.cure;
    out.push_back(std::move(d));
}

struct ParserCure {
    std::string_view part;  // of yaml-cpp's message
    std::string_view cure;
};
constexpr ParserCure kParserCures[] = {
    {"end of map not found", "check the indentation and the colon of this line and the one above"},
    {"illegal map value", "check the indentation and the colon of this line and the one above"},
    {"map keys must be", "check the indentation and the colon of this line and the one above"},
    {"end of sequence not found", "check the indentation of this line and the one above"},
    {"end of sequence flow not found", "close the `[`"},
    {"end of map flow not found", "close the `{`"},
    {"illegal flow end", "no bracket of that kind is open here"},
    {"illegal EOF in scalar", "close the quote"},
    {"illegal document indicator in scalar", "close the quote before `---`"},
    {"unknown escape character", "in double quotes a backslash is doubled; in single quotes it stands for itself"},
    {"the referenced anchor is not defined", "an `*alias` refers to an `&anchor` above it; a value that begins with `*` is quoted"},
    {"alias not found after *", "a value that begins with `*` is quoted: \"*\""},
    {"anchor not found after &", "a value that begins with `&` is quoted"},
    {"unknown token", "quote the value: this character cannot begin one"},
};

// yaml-cpp's messages, for people who see YAML as indentation.
std::string cure_of(const std::string& message, const std::string& line) {
    if (line.find_first_of("\t") < line.find_first_not_of(" \t")) return "YAML indents with spaces, not tabs";
    for (const ParserCure& known : kParserCures)
        if (message.find(known.part) != std::string::npos) return std::string(known.cure);
    return line.find('\t') != std::string::npos ? "YAML indents with spaces, not tabs" : "";
}

// yaml-cpp notices at the file's end that a quote or a bracket is open; the place to look at is where it was opened.
Place opened_at(const File& file, const YAML::Exception& e) {
    std::string_view text = file.text;
    if (e.msg.find("illegal EOF in scalar") != std::string::npos || e.msg.find("illegal document indicator in scalar") != std::string::npos) {
        // Nothing closes it, so it is the last of its kind.
        if (e.msg.find("EOF") == std::string::npos) text = text.substr(0, static_cast<size_t>(std::max(e.mark.pos, 0)));
        const bool doubled = std::count(text.begin(), text.end(), '"') % 2 != 0;
        const size_t quote = text.rfind(doubled ? '"' : '\'');
        return quote == std::string_view::npos ? place_in(file, e.mark) : place_at(file, quote);
    }
    const char open = e.msg.find("end of sequence flow") != std::string::npos ? '[' : e.msg.find("end of map flow") != std::string::npos ? '{' : 0;
    if (open == 0) return place_in(file, e.mark);
    std::vector<size_t> still_open;
    const size_t end = std::min(static_cast<size_t>(std::max(e.mark.pos, 0)) + 1, text.size());
    char quote = 0;
    for (size_t i = 0; i < end; ++i) {
        const char c = text[i];
        const bool at_start = i == 0 || std::string_view(" \n[{,:").find(text[i - 1]) != std::string_view::npos;
        if (quote != 0) quote = c == quote ? 0 : quote;
        else if ((c == '"' || c == '\'') && at_start) quote = c;
        else if (c == '#' && at_start) i = std::min(text.find('\n', i), end);
        else if (c == '[' || c == '{') still_open.push_back(i);
        else if ((c == ']' || c == '}') && !still_open.empty()) still_open.pop_back();
    }
    for (auto at = still_open.rbegin(); at != still_open.rend(); ++at)
        if (text[*at] == open) return place_at(file, *at);
    return place_in(file, e.mark);
}

}  // namespace

const Entry* Node::entry(std::string_view key) const {
    for (const Entry& entry : entries)
        if (entry.key == key) return &entry;
    return nullptr;
}

const Node* Node::find(std::string_view key) const {
    const Entry* found = entry(key);
    return found ? &found->value : nullptr;
}

std::string File::line(int number) const {
    if (number < first_line || static_cast<size_t>(number - first_line) >= line_starts.size()) return "";
    const size_t start = line_starts[static_cast<size_t>(number - first_line)];
    std::string_view rest = std::string_view(text).substr(start);
    rest = rest.substr(0, rest.find('\n'));
    if (rest.ends_with('\r')) rest.remove_suffix(1);
    const auto index = static_cast<size_t>(number - first_line);
    return index < secret_lines.size() && secret_lines[index] ? model::redact_line(rest) : std::string(rest);
}

std::shared_ptr<const File> parse(std::string name, std::string text, std::vector<Diagnostic>& out,
                                  const Limits& limits) {
    return parse_part(std::move(name), std::move(text), 1, out, limits);
}

std::vector<Part> split(std::string_view text) {
    std::vector<Part> parts = {{}};
    int line = 1;
    for (size_t at = 0; at < text.size(); ++line) {
        const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        const std::string_view here = text.substr(at, end - at);
        const bool marker = here.size() == 3 || (here.size() > 3 && std::string_view(" \t\r\n").find(here[3]) != std::string_view::npos);
        if (here[0] == '%' || (here.starts_with("...") && marker)) return {};
        if (here.starts_with("---") && marker && at != 0) {
            parts.back().end = at;
            parts.push_back({at, 0, line});
        }
        at = end;
    }
    parts.back().end = text.size();
    return parts;
}

std::shared_ptr<const File> parse_part(std::string name, std::string text, int first_line, std::vector<Diagnostic>& out,
                                       const Limits& limits) {
    auto file = std::make_shared<File>();
    file->name = std::move(name);
    file->first_line = first_line;
    if (text.size() > limits.bytes_max) {
        append(*file, {{}, "SLC0119", fmt::format("larger than {} MiB", limits.bytes_max >> 20), "split the file"},
               out);
        return file;
    }
    file->text = std::move(text);
    file->line_starts.push_back(0);
    for (size_t i = 0; i < file->text.size(); ++i)
        if (file->text[i] == '\n') file->line_starts.push_back(i + 1);
    file->secret_lines = model::secret_lines(file->text);

    if (const auto bad = first_bad_byte(file->text)) {
        append(*file, {place_at(*file, *bad), "SLC0101", "a byte that is not UTF-8 text", "save the file as UTF-8"},
               out);
        out.back().source_line.clear();  // would put that byte on the terminal
        return file;
    }
    Builder builder(*file, limits, out);
    try {
        std::istringstream stream(file->text);
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Refusal& refusal) {
        append(*file, refusal, out);
    } catch (const YAML::Exception& e) {
        const Place at = opened_at(*file, e);
        append(*file, {at, "SLC0101", "not YAML: " + e.msg, cure_of(e.msg, file->line(at.line))}, out);
    }
    file->nodes = builder.nodes();
    file->alias_nodes = builder.alias_nodes();
    return file;
}

Diagnostic diagnostic(const File& file, Place at, std::string code, std::string message) {
    Diagnostic d;
    d.file = file.name;
    d.line = at.line;
    d.column = at.column;
    if (const Code* known = find_code(code)) d.severity = known->severity;
    d.code = std::move(code);
    d.message = std::move(message);
    d.source_line = file.line(at.line);
    return d;
}

namespace {

struct Element {
    std::string key;               // of a map, or
    std::optional<size_t> index;  // of a sequence
};

// Takes the next element off a path: `name`, `.name`, `[3]`, `["a.b"]`.
std::optional<Element> next_element(std::string_view& path) {
    if (path.empty()) return std::nullopt;
    if (path.starts_with("[\"")) {
        const size_t end = path.find("\"]", 2);
        if (end == std::string_view::npos) return std::nullopt;
        Element element{std::string(path.substr(2, end - 2)), {}};
        path.remove_prefix(end + 2);
        return element;
    }
    if (path.starts_with('[')) {
        size_t index = 0;
        const size_t end = path.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        if (std::from_chars(path.data() + 1, path.data() + end, index).ec != std::errc()) return std::nullopt;
        path.remove_prefix(end + 1);
        return Element{"", index};
    }
    if (path.starts_with('.')) path.remove_prefix(1);
    const size_t end = std::min(path.find_first_of(".["), path.size());
    Element element{std::string(path.substr(0, end)), {}};
    path.remove_prefix(end);
    return element;
}

}  // namespace

int width_of(const Node& node) {
    if (node.kind != Node::Kind::kScalar) return 1;
    return std::max(static_cast<int>(node.text.size()) + (node.quoted ? 2 : 0), 1);
}

Located locate(const Node& root, std::string_view path) {
    Located found{root.at, 1, &root};
    const Node* node = &root;
    while (const auto element = next_element(path)) {
        if (element->index) {
            if (*element->index >= node->items.size()) return {found.at, found.width, nullptr};
            node = &node->items[*element->index];
            const bool scalar = node->kind == Node::Kind::kScalar;
            found = {node->at, scalar ? width_of(*node) : 1, node};
        } else {
            const Entry* entry = node->entry(element->key);
            if (!entry) return {found.at, found.width, nullptr};
            node = &entry->value;
            found = {entry->at, static_cast<int>(entry->key.size()), node};
        }
    }
    return found;
}

std::string path_key(std::string_view key) {
    if (key.find_first_of(".[]\" ") == std::string_view::npos) return fmt::format(".{}", key);
    return fmt::format("[\"{}\"]", key);
}

}  // namespace sluice::yaml
