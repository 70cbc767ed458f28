// Ports: device, addresses with their on-link prefix, routes whose next hop is on link, VLAN, MTU. Everything that would
// leave a port silent at run time is a finding here.
#include "ctrl/host/read_ports.h"

#include "ctrl/model/codes.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::host {

namespace {

constexpr std::string_view kDeviceKinds[] = {"pci", "af_xdp", "af_packet", "devargs"};
constexpr std::string_view kReversePaths[] = {"loose", "strict"};
constexpr uint32_t kMtuMin = 576, kMtuMinV6 = 1280;   // RFC 791, RFC 8200 (5)
constexpr uint32_t kMtuMax = limits::kMbufRoomBytes - 22;   // one frame with VLAN tag and check sequence in one mbuf
constexpr size_t kInterfaceNameMax = 15;              // IFNAMSIZ - 1

bool is_port_name(std::string_view name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

/// 0000:3b:00.0
bool is_pci(std::string_view text) {
    constexpr std::string_view kShape = "xxxx:xx:xx.x";
    if (text.size() != kShape.size()) return false;
    for (size_t i = 0; i < kShape.size(); i++) {
        const char c = text[i];
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (kShape[i] == 'x' ? !hex : c != kShape[i]) return false;
    }
    return true;
}

void check_device(const Object& o, const std::string& device) {
    const size_t colon = device.find(':');
    const std::string kind = device.substr(0, colon), value = colon == device.npos ? "" : device.substr(colon + 1);
    if (std::find(std::begin(kDeviceKinds), std::end(kDeviceKinds), kind) == std::end(kDeviceKinds)) {
        const std::vector<std::string> names(std::begin(kDeviceKinds), std::end(kDeviceKinds));
        std::string cure = did_you_mean(kind, names);
        o.wrong("device", fmt::format("`{}` names no driver", device.substr(0, 80)),
                cure.empty() ? "pci:0000:3b:00.0, af_xdp:eth1, af_packet:eth1 or devargs:..." : cure);
    } else if (value.empty()) {
        o.wrong("device", fmt::format("`{}:` names no device", kind), kind == "pci" ? "pci:0000:3b:00.0" : kind + ":eth1");
    } else if (kind == "pci" && !is_pci(value)) {
        o.wrong("device", fmt::format("`{}` is not a PCI address", value.substr(0, 80)), "as lspci -D prints it: 0000:3b:00.0");
    } else if ((kind == "af_xdp" || kind == "af_packet") &&
               (value.size() > kInterfaceNameMax || value.find_first_of("/, \t:") != value.npos)) {
        o.wrong("device", fmt::format("`{}` is not an interface name", value.substr(0, 80)), "as ip link shows it: eth1");
    }
}


void read_exception(const Object& o, Port& port, const std::vector<Port>& others) {
    o.text("exception", port.exception);
    if (!o.has("exception")) return;
    const std::string& name = port.exception;
    if (name.empty() || name.size() > kInterfaceNameMax || name == "." || name == ".." || name.find_first_of("/, \t:%") != name.npos) {
        o.wrong("exception", fmt::format("`{}` is not an interface name", name.substr(0, 80)), "exception: kernel0");
    } else if (port.device.starts_with("af_packet:")) {
        o.wrong("exception", "under af_packet the kernel sees every frame of the interface already",
                fmt::format("device: af_xdp:{}; or leave exception out and give the kernel other addresses than the port's on that interface",
                            interface_of(port))).code = "SLC0008";
    } else if (name == interface_of(port)) {
        o.wrong("exception", "the port's own device", "a name of its own: exception: kernel0").code = "SLC0008";
    }
    for (const Port& other : others)
        if (name == other.exception || name == interface_of(other))
            o.wrong("exception", fmt::format("port {} has this device", other.name), "one TAP device for each port").code = "SLC0008";
}

/// Bits of the address outside of the prefix.
bool has_host_bits(const IpPrefix& prefix) {
    const unsigned bits = (prefix.address.is_v4() ? 96u : 0u) + prefix.length;
    for (unsigned bit = bits; bit < 128; bit++)
        if (prefix.address.bytes[bit / 8] >> (7 - bit % 8) & 1) return true;
    return false;
}

bool is_loopback(const IpAddress& a) { return a == IpAddress::parse("::1") || (a.is_v4() && a.bytes[12] == 127); }

void read_address(Context& context, const yaml::Node& item, const std::string& path, Port& port, const std::vector<Port>& others) {
    const auto prefix = item.kind == yaml::Node::Kind::kScalar ? IpPrefix::parse(item.text) : std::nullopt;
    if (!prefix) {
        context.report(item, "SLC0006", path, fmt::format("{} is not an address with its prefix length", kind_of(item)),
                       "192.0.2.10/24 or \"2001:db8::10/64\"");
        return;
    }
    if (item.text.find('/') == item.text.npos) {
        context.report(item, "SLC0006", path, "without a prefix length nobody is on link",
                       fmt::format("{}/{}", item.text, prefix->address.is_v4() ? 24 : 64));
        return;
    }
    const bool v4 = prefix->address.is_v4();
    const bool is_network = !has_host_bits(*prefix) && prefix->length < (v4 ? 31 : 127);
    if (prefix->address.is_unspecified() || prefix->address.is_multicast() || is_loopback(prefix->address) || is_network) {
        context.report(item, "SLC0006", path, fmt::format("{} cannot be a host's address", prefix->address.to_string()),
                       is_network && !prefix->address.is_unspecified() ? "it names the network: give this machine's own address" : "");
        return;
    }
    auto same = [&](const IpPrefix& p) { return p.address == prefix->address; };
    for (const Port& other : others) {
        if (std::any_of(other.addresses.begin(), other.addresses.end(), same)) {
            context.report(item, "SLC0008", path, fmt::format("port {} has this address too", other.name), "an address belongs to one port");
            return;
        }
    }
    if (std::any_of(port.addresses.begin(), port.addresses.end(), same)) {
        context.report(item, "SLC0008", path, "given twice", "remove one");
        return;
    }
    port.addresses.push_back(*prefix);
}

void read_route(Context& context, const yaml::Node& item, const std::string& path, Port& port) {
    const Object o(context, item, path, fields::kRouteObject);
    if (item.kind != yaml::Node::Kind::kMap) return;
    std::string to, via;
    if (!o.has("to")) o.missing("to", "to: default, or a network such as 10.0.0.0/8");
    if (!o.has("via")) o.missing("via", "via: the next router's address");
    if (!o.scalar("to", to) || !o.scalar("via", via)) return;
    const auto gateway = IpAddress::parse(via);
    if (!gateway) {
        o.wrong("via", fmt::format("`{}` is not an address", via.substr(0, 80)), "via: 192.0.2.1");
        return;
    }
    auto prefix = to == "default" ? std::optional(IpPrefix{gateway->is_v4() ? IpAddress::v4(0) : IpAddress{}, 0}) : IpPrefix::parse(to);
    if (!prefix) {
        o.wrong("to", fmt::format("`{}` is not a network", to.substr(0, 80)), "default, or as in 10.0.0.0/8");
    } else if (has_host_bits(*prefix)) {
        o.wrong("to", fmt::format("{} has bits outside of its prefix", to), "a network's address ends in zeros");
    } else if (prefix->address.is_v4() != gateway->is_v4()) {
        o.wrong("via", "of the other IP family than the network");
    } else if (std::none_of(port.addresses.begin(), port.addresses.end(), [&](const IpPrefix& p) { return p.contains(*gateway); })) {
        o.wrong("via", fmt::format("{} is on no network of this port", via), "the next router must share a prefix of this port's addresses");
    } else {
        port.routes.push_back({*prefix, *gateway});
    }
}

void read_offloads(Context& context, const yaml::Node& yaml, const std::string& path, Port::Offloads& offloads) {
    const Object o(context, yaml, path, fields::kOffloadsObject);
    o.boolean("checksum", offloads.checksum);
    o.boolean("segmentation", offloads.segmentation);
    o.boolean("largeReceive", offloads.large_receive);
    if (offloads.checksum) return;
    for (const std::string_view field : {"segmentation", "largeReceive"}) {   // neither works without
        const bool wanted = field == "segmentation" ? offloads.segmentation : offloads.large_receive;
        if (wanted && o.has(field)) o.wrong(field, "needs checksum, which is false", "checksum: true, or leave this out").code = "SLC0008";
    }
}

void read_port(Context& context, const yaml::Node& yaml, const std::string& path, std::vector<Port>& ports) {
    const Object o(context, yaml, path, fields::kPortObject);
    if (yaml.kind != yaml::Node::Kind::kMap) return;
    Port port;
    o.text("name", port.name);
    if (!o.has("name")) o.missing("name", "name: outside");
    else if (!is_port_name(port.name)) o.wrong("name", "not a port name", "up to 32 letters, digits, - and _");
    o.text("device", port.device);
    if (!o.has("device")) o.missing("device", "device: af_xdp:eth1");
    else check_device(o, port.device);
    for (const Port& other : ports) {
        if (!port.name.empty() && other.name == port.name) o.wrong("name", "another port has this name").code = "SLC0008";
        if (!port.device.empty() && other.device == port.device) o.wrong("device", fmt::format("port {} has this device", other.name)).code = "SLC0008";
    }
    const auto addresses = o.list("addresses");
    if (addresses.empty() && (!o.has("addresses") || o.find("addresses")->kind == yaml::Node::Kind::kSequence))
        o.missing("addresses", "addresses: [192.0.2.10/24]");
    for (size_t i = 0; i < addresses.size(); i++) read_address(context, addresses[i], fmt::format("{}.addresses[{}]", path, i), port, ports);
    const auto routes = o.list("routes");
    for (size_t i = 0; i < routes.size(); i++) read_route(context, routes[i], fmt::format("{}.routes[{}]", path, i), port);
    o.number("vlan", port.vlan, 1, 4094);
    const bool v6 = std::any_of(port.addresses.begin(), port.addresses.end(), [](const IpPrefix& p) { return !p.address.is_v4(); });
    o.number("mtu", port.mtu, v6 ? kMtuMinV6 : kMtuMin, kMtuMax);
    size_t reverse_path = 0;
    if (o.word("reversePath", kReversePaths, reverse_path)) port.reverse_path = static_cast<Port::ReversePath>(reverse_path);
    o.boolean("duplicateDetection", port.duplicate_detection);
    o.boolean("listen", port.listen);
    o.boolean("takeover", port.takeover);
    read_exception(o, port, ports);
    if (const yaml::Node* offloads = o.find("offloads")) read_offloads(context, *offloads, path + ".offloads", port.offloads);
    ports.push_back(std::move(port));
}

}  // namespace

void read_ports(Context& context, const Object& file, std::vector<Port>& ports) {
    const auto items = file.list("ports");
    const yaml::Node* node = file.find("ports");
    if (items.empty()) {
        if (!node || node->kind == yaml::Node::Kind::kSequence) file.missing("ports", "at least one port with name, device and addresses");
        return;
    }
    if (items.size() > limits::kPortsMax) file.wrong("ports", fmt::format("more than {} ports", limits::kPortsMax));
    for (size_t i = 0; i < items.size(); i++) read_port(context, items[i], fmt::format("ports[{}]", i), ports);
    if (std::none_of(ports.begin(), ports.end(), [](const Port& p) { return p.listen; })) {
        Diagnostic& d = file.wrong("ports", "no port listens: a Gateway without bind opens nowhere", "add listen: true to the port that clients reach");
        d.code = "SLC0010";
        d.severity = find_code(d.code)->severity;
    }
}

}  // namespace sluice::host
