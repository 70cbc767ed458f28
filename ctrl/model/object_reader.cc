// One object at a time: kind, version, metadata, spec. A document is an object, or the list of them that
// `kubectl get -o yaml` prints.
// In: yaml::File. Out: Object<Spec> in the MeshConfig.
// The wrapper message is read whole, so that field paths begin at the object; its spec is kept.
// Kubernetes object conventions: apiVersion, kind, metadata, spec, status.
#include "ctrl/model/object_reader.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "ctrl/model/foreign_kinds.h"
#include "ctrl/model/message_reader.h"
#include "ctrl/model/names.h"
#include "ctrl/model/secret.h"
#include "ctrl/model/sidecar.pb.h"

namespace sluice::model {
namespace {

using yaml::Node;

constexpr std::string_view kGroup = "networking.istio.io/";
constexpr std::array<std::string_view, 3> kVersions = {"v1", "v1beta1", "v1alpha3"};
constexpr std::array<std::string_view, 6> kKinds = {"Gateway",      "VirtualService", "DestinationRule",
                                                    "ServiceEntry", "WorkloadEntry",  "Sidecar"};

std::string text_of(const Node* node) {
    return node && node->kind == Node::Kind::kScalar ? node->text : std::string();
}

class DocumentReader {
 public:
    DocumentReader(const std::shared_ptr<const yaml::File>& file, const Node& root, MeshConfig& mesh,
                   std::vector<Diagnostic>& out)
        : file_(file), root_(root), mesh_(mesh), out_(out) {}

    void read() {
        if (root_.kind == Node::Kind::kMap && is_list()) return read_list();
        if (root_.kind != Node::Kind::kMap) return fail("", "SLC0102", "not an object: expected a map");
        kind_ = text_of(root_.find("kind"));
        api_version_ = text_of(root_.find("apiVersion"));
        if (const Node* metadata = root_.find("metadata")) {
            name_ = text_of(metadata->find("name"));
            namespace_ = text_of(metadata->find("namespace"));
        }
        if (namespace_.empty()) namespace_ = "default";
        if (kind_ == "List" && api_version_ == "v1") return read_items();
        if (kind_ == "Secret" && api_version_ == "v1") return read_secret_object();
        if (!known()) return;
        if (kind_ == "Gateway") return read_as<istio::GatewayObject>(mesh_.gateways);
        if (kind_ == "VirtualService") return read_as<istio::VirtualServiceObject>(mesh_.virtual_services);
        if (kind_ == "DestinationRule") return read_as<istio::DestinationRuleObject>(mesh_.destination_rules);
        if (kind_ == "ServiceEntry") return read_as<istio::ServiceEntryObject>(mesh_.service_entries);
        if (kind_ == "Sidecar") return read_and_forget<istio::SidecarObject>();
        read_as<istio::WorkloadEntryObject>(mesh_.workload_entries);
    }

 private:
    void read_secret_object() {
        read_secret(file_, root_, mesh_.secrets, out_);
        const auto [first, is_new] = mesh_.places.emplace(id(), ObjectBase{{}, {}, {}, {}, file_, &root_}.source());
        if (!is_new && !name_.empty())
            fail("metadata.name", "SLC0107", fmt::format("the same object is in {}", first->second), "rename or remove one");
    }

    // v1 List is what kubectl prints; the API server's own lists are of one kind: VirtualServiceList.
    bool is_list() const {
        const std::string kind = text_of(root_.find("kind"));
        if (!kind.ends_with("List")) return false;
        const std::string_view of = std::string_view(kind).substr(0, kind.size() - 4);
        return of.empty() || of == "Secret" || std::find(kKinds.begin(), kKinds.end(), of) != kKinds.end();
    }

    void read_list() {
        kind_ = text_of(root_.find("kind"));
        for (const yaml::Entry& entry : root_.entries) {
            if (entry.key != "apiVersion" && entry.key != "kind" && entry.key != "metadata" && entry.key != "items")
                fail(entry.key, "SLC0104", "unknown field", did_you_mean(entry.key, std::vector<std::string>{"items", "metadata"}));
        }
        const Node* items = root_.find("items");
        if (!items) return fail("items", "SLC0106", "missing", "add `items`, or remove the list");
        if (items->kind == Node::Kind::kNull) return;
        if (items->kind != Node::Kind::kSequence) return fail("items", "SLC0103", "expected a list", "start each item with `- `");
        for (const Node& item : items->items) {
            // A list in a list is no object: kubectl prints none.
            DocumentReader reader(file_, item, mesh_, out_);
            if (item.kind == Node::Kind::kMap && reader.is_list())
                reader.fail("kind", "SLC0102", "a list within a list", "write its items as documents of their own");
            else
                reader.read();
        }
    }

    std::string id() const {
        if (kind_.empty()) return "";
        return name_.empty() ? kind_ : fmt::format("{} {}/{}", kind_, namespace_, name_);
    }

    void fail(std::string_view path, std::string code, std::string message, std::string cure = "") {
        good_ = false;
        ObjectBase base;
        base.file = file_;
        base.root = &root_;
        Diagnostic d = base.finding(std::move(code), path, std::move(message), std::move(cure));
        d.object = id();
        if (out_.size() < room_for(d.severity)) out_.push_back(std::move(d));
    }

    // What `kubectl get -o yaml` prints. The depth cap of YAML bounds lists in lists.
    void read_items() {
        const Node* items = root_.find("items");
        if (!items || items->kind != Node::Kind::kSequence)
            return fail("items", "SLC0106", "a List without `items`", "add `items`, or write its objects as documents");
        for (const Node& item : items->items) DocumentReader(file_, item, mesh_, out_).read();
    }

    void pass_over(const ForeignKind& foreign) {
        mesh_.places.emplace(id(), ObjectBase{{}, {}, {}, {}, file_, &root_}.source());
        fail("kind", "SLC0122", foreign.message, foreign.cure);
    }

    bool known() {
        if (kind_.empty()) return fail("", "SLC0102", "not an object: no `kind`", "add apiVersion and kind"), false;
        if (kind_ == "GatewayHost")
            return fail("kind", "SLC0102", "this is a gateway's own file, not mesh config",
                        "keep it outside of the mesh directory, for sluiced --config"),
                   false;
        if (api_version_.empty())
            return fail("", "SLC0102", "no `apiVersion`", "add apiVersion: networking.istio.io/v1"), false;
        if (const auto foreign = foreign_kind(api_version_, kind_)) {
            if (foreign->refused) fail("kind", "SLC0102", foreign->message, foreign->cure);
            else pass_over(*foreign);
            return false;
        }
        return known_kind() && known_version();
    }

    bool known_kind() {
        if (std::find(kKinds.begin(), kKinds.end(), kind_) != kKinds.end()) return true;
        fail("kind", "SLC0102", fmt::format("unknown kind {}", kind_.substr(0, 80)),
             did_you_mean(kind_, std::vector<std::string>(kKinds.begin(), kKinds.end())));
        return false;
    }

    bool known_version() {
        if (api_version_.starts_with(kGroup)) {
            const std::string_view version = std::string_view(api_version_).substr(kGroup.size());
            if (std::find(kVersions.begin(), kVersions.end(), version) != kVersions.end()) return true;
        }
        fail("apiVersion", "SLC0102",
             fmt::format("apiVersion {} is not one of {}v1, v1beta1, v1alpha3", api_version_, kGroup),
             "write apiVersion: networking.istio.io/v1");
        return false;
    }

    template <typename Wrapper, typename Spec>
    void read_as(Objects<Spec>& objects) {
        Wrapper wrapper;
        if (!read_wrapper(wrapper)) return;

        Object<Spec> object;
        object.kind = kind_;
        object.name = name_;
        object.ns = namespace_;
        object.labels = Labels(wrapper.metadata().labels().begin(), wrapper.metadata().labels().end());
        object.file = file_;
        object.root = &root_;
        object.spec = std::move(*wrapper.mutable_spec());
        objects.push_back(std::move(object));
    }

    // A kind that says nothing to a gateway: its fields' names are checked, that is all.
    template <typename Wrapper>
    void read_and_forget() {
        Wrapper wrapper;
        read_wrapper(wrapper);
    }

    bool read_wrapper(google::protobuf::Message& wrapper) {
        ReadContext context{*file_, id(), out_};
        good_ = read_message(root_, "", context, wrapper);
        check_name("metadata.name", name_, is_dns_name(name_) && lower(name_) == name_);
        check_name("metadata.namespace", namespace_, is_dns_label(namespace_));
        const auto [first, is_new] = mesh_.places.emplace(id(), ObjectBase{{}, {}, {}, {}, file_, &root_}.source());
        if (!is_new)
            fail("metadata.name", "SLC0107", fmt::format("the same object is in {}", first->second),
                 "rename or remove one");
        return good_;
    }

    void check_name(std::string_view path, const std::string& name, bool good) {
        if (good || name.empty()) return;
        fail(path, "SLC0107", fmt::format("`{}` is not a name", name), "use a-z, 0-9 and `-`");
    }

    const std::shared_ptr<const yaml::File>& file_;
    const Node& root_;
    MeshConfig& mesh_;
    std::vector<Diagnostic>& out_;
    bool good_ = true;
    std::string kind_;
    std::string api_version_;
    std::string name_;
    std::string namespace_;
};

}  // namespace

namespace {

// What YAML itself was wrong about (a key given twice) is told of the object it stands in.
void name_objects(const yaml::File& file, std::vector<Diagnostic>& out) {
    for (Diagnostic& d : out) {
        if (d.file != file.name || !d.object.empty() || d.line == 0) continue;
        const Node* around = nullptr;
        for (const Node& document : file.documents)
            if (document.at.line <= d.line) around = &document;
        if (!around) continue;
        const Node* metadata = around->find("metadata");
        const std::string kind = text_of(around->find("kind"));
        const std::string name = metadata ? text_of(metadata->find("name")) : "";
        const std::string ns = metadata ? text_of(metadata->find("namespace")) : "";
        if (!kind.empty() && !name.empty()) d.object = fmt::format("{} {}/{}", kind, ns.empty() ? "default" : ns, name);
    }
}

}  // namespace

void read_objects(const std::shared_ptr<const yaml::File>& file, MeshConfig& mesh, std::vector<Diagnostic>& out) {
    name_objects(*file, out);
    for (const Node& document : file->documents) DocumentReader(file, document, mesh, out).read();
}

}  // namespace sluice::model
