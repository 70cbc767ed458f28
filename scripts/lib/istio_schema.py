"""Istio's published schemas as one flat table: path -> type.

In: a package's text: npm's @kubernetes-models/istio (TypeScript declarations of the CRDs) or PyPI's
cloudcoil-models-istio (pydantic classes). Out: {"Gateway.servers[].port.number": "number", ...}: a path
ends in `[]` for an element of a list, in `{}` for a value of a map; types are string, number, boolean,
object, list, map, or an enum's names sorted and joined by `|`. Neither package is imported or run.

compare() holds our messages (istio_fields --paths) against what scripts/fetch-schemas fetched.
"""
import ast
import os
import re

KINDS = ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Sidecar")


def add(table, path, kind):
    """A field of several alternatives has one type in all of them, or enums that add up."""
    before = table.get(path)
    if before in (None, kind, "any"):
        table[path] = kind
    elif kind != "any":
        both = sorted(set(before.split("|")) | set(kind.split("|")))
        table[path] = "|".join(both)


class Declarations:
    """A recursive descent through one .d.ts type: objects, arrays, unions, intersections, literals."""

    TOKEN = re.compile(r'/\*.*?\*/|\s+|"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z_0-9.]*|[{}\[\]<>()|&;:?,]', re.S)

    def __init__(self, text, table):
        self.tokens = [t for t in self.TOKEN.findall(text) if not t.isspace() and not t.startswith("/*")]
        self.at = 0
        self.table = table

    def take(self, wanted=None):
        token = self.tokens[self.at]
        if wanted is not None and token != wanted:
            raise ValueError(f"expected {wanted}, found {' '.join(self.tokens[self.at:self.at + 6])}")
        self.at += 1
        return token

    def skip_if(self, token):
        if self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def type_at(self, path):
        """Reads one type; what it is, and its fields in the table."""
        self.skip_if("|")
        kinds = [self.operand(path)]
        while self.tokens[self.at] in ("|", "&"):
            self.at += 1
            kinds.append(self.operand(path))
        kinds = [k for k in kinds if k not in ("null", "undefined")]
        literals = [k for k in kinds if k.startswith('"')]
        if literals:
            return "|".join(sorted(k.strip('"') for k in literals))
        known = sorted(set(kinds) - {"any"}) or ["any"]
        return "|".join(known)

    def operand(self, path):
        token = self.take()
        if token == "(":
            kind = self.type_at(path)
            self.take(")")
        elif token == "{":
            kind = self.object_at(path)
        elif token == "Exclude":  # one of several: says which fields go together, all are named elsewhere
            self.take("<")
            kind = self.type_at(path)
            self.take(",")
            self.type_at(path)
            self.take(">")
        elif token == "Array":
            self.take("<")
            add(self.table, path + "[]", self.type_at(path + "[]"))
            self.take(">")
            kind = "list"
        else:
            kind = token if token.startswith('"') else {"unknown": "any"}.get(token, token)
        while self.skip_if("["):
            self.take("]")
        return kind

    def object_at(self, path):
        kind = "any"  # {} alone says nothing: one of several alternatives
        while not self.skip_if("}"):
            if self.skip_if("["):
                self.take()
                self.take(":")
                self.take("string")
                self.take("]")
                self.take(":")
                add(self.table, path + "{}", self.type_at(path + "{}"))
                kind = "map"
            else:
                kind = "object"
                name = self.take().strip('"')
                self.skip_if("?")
                self.take(":")
                below = f"{path}.{name}"
                add(self.table, below, self.type_at(below))
            self.skip_if(";")
        return kind


def from_declarations(text_of_kind):
    """text_of_kind(kind) -> the .d.ts of that kind."""
    table = {}
    for kind in KINDS:
        whole = {}
        text = text_of_kind(kind)
        reader = Declarations(text[text.index("export interface"):], whole)
        while reader.take() != "{":
            pass
        reader.object_at(kind)
        prefix = kind + ".spec."
        table.update({kind + "." + path[len(prefix):]: t for path, t in whole.items() if path.startswith(prefix)})
    return table


class Classes:
    """Pydantic classes, read as syntax: annotations, aliases, and the classes they name."""

    SCALARS = {"str": "string", "int": "number", "float": "number", "bool": "boolean", "bytes": "string"}

    def __init__(self, text, table):
        self.classes = {c.name: c for c in ast.parse(text).body if isinstance(c, ast.ClassDef)}
        self.table = table

    def object_at(self, path, name):
        node = self.classes[name]
        root = [ast.unparse(b) for b in node.bases if ast.unparse(b).startswith("RootModel[")]
        if root:
            return self.SCALARS[root[0][len("RootModel["):-1]]
        kind = "any"
        for item in node.body:
            if not isinstance(item, ast.AnnAssign) or item.target.id == "model_config":
                continue
            kind = "object"
            annotation, field = item.annotation, item.target.id
            if isinstance(annotation, ast.Subscript) and annotation.value.id == "Annotated":
                annotation, *extra = annotation.slice.elts
                for call in extra:
                    field = next((k.value.value for k in getattr(call, "keywords", []) if k.arg == "alias"), field)
            below = f"{path}.{field}"
            add(self.table, below, self.type_at(below, annotation))
        return kind

    def type_at(self, path, node):
        if isinstance(node, ast.Name):
            return self.SCALARS.get(node.id) or self.object_at(path, node.id)
        if isinstance(node, ast.Constant):
            return "any" if node.value is None else self.type_at(path, ast.parse(node.value, mode="eval").body)
        if not isinstance(node, ast.Subscript):
            return "any"
        generic = node.value.id
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if generic == "Literal":
            return "|".join(sorted(e.value for e in inner))
        if generic == "List":
            add(self.table, path + "[]", self.type_at(path + "[]", inner[0]))
            return "list"
        if generic == "Dict":
            add(self.table, path + "{}", self.type_at(path + "{}", inner[1]))
            return "map"
        kinds = {self.type_at(path, e) for e in inner} - {"any"}  # Optional, Union, Annotated
        return "|".join(sorted(kinds)) or "any"


def from_classes(text):
    table = {}
    reader = Classes(text, table)
    for kind in KINDS:
        reader.object_at(kind, kind + "Spec")
    return table


# --- Ours against theirs -------------------------------------------------------------------------

# The wheel is of Istio 1.24, the declarations of 1.29: what came between, as seen from the wheel.
NEWER = re.compile(r"\.(trafficPolicy\.retryBudget|httpCookie\.attributes|tls\.(caCertCredentialName|credentialNames|tlsCertificates)"
                   r"|retries\.(backoff|retryIgnorePreviousHosts))(?![A-Za-z])")
NEWER_VALUES = {"ServiceEntry.resolution": {"DYNAMIC_DNS"}}


def as_of_the_wheel(table):
    """What a newer table says of the older API."""
    out = {}
    for path, kind in table.items():
        if not NEWER.search(path):
            out[path] = "|".join(v for v in kind.split("|") if v not in NEWER_VALUES.get(path, ()))
    return out


def differences(ours, published):
    """[(path, what is wrong)], nothing when both say the same."""
    found = []
    for path in sorted(ours.keys() | published.keys()):
        if path not in ours:
            found.append((path, f"published as {published[path]}, and not in ctrl/model/istio.proto"))
        elif path not in published:
            found.append((path, f"{ours[path]} in ctrl/model/istio.proto, and not published"))
        elif ours[path] != published[path]:
            found.append((path, f"published as {published[path]}, {ours[path]} in ctrl/model/istio.proto"))
    return found


def read(folder):
    """The published tables that were fetched: {name: table}."""
    tables = {}
    declarations = os.path.join(folder, "declarations")
    if os.path.exists(os.path.join(folder, "npm.stamp")):
        tables["Istio 1.29"] = from_declarations(lambda kind: open(os.path.join(declarations, kind + ".d.ts")).read())
    if os.path.exists(os.path.join(folder, "wheel.stamp")):
        with open(os.path.join(folder, "v1.py")) as file:
            tables["Istio 1.24"] = from_classes(file.read())
    return tables


def compare(paths_text, folder):
    """Cases as (name, why it failed, or "")."""
    ours = dict(line.split(": ", 1) for line in paths_text.splitlines())
    tables = read(folder)
    cases = []
    for name, published in tables.items():
        mine = as_of_the_wheel(ours) if name == "Istio 1.24" else ours
        wrong = dict(differences(mine, published))
        for kind in KINDS:
            fields = [p for p in published if p.startswith(kind + ".")]
            why = [f"{p}: {text}" for p, text in wrong.items() if p.startswith(kind + ".")]
            if not fields:
                why.append("the published schema has no field: its form has changed")
            cases.append((f"{name} {kind}, {len(fields)} fields", "\n".join(why)))
        cases.append((f"{name}: the comparison notices", notices(mine, published)))
    if len(tables) == 2:
        gap = differences(as_of_the_wheel(tables["Istio 1.29"]), tables["Istio 1.24"])
        cases.append(("what is newer than Istio 1.24 is what NEWER names", "\n".join(f"{p}: {w}" for p, w in gap)))
    return cases


def notices(ours, published):
    """A field taken away, one added, one of another type, an enum with a name less: each is found by its name."""
    number = "Gateway.servers[].port.number"
    derive = "VirtualService.http[].redirect.derivePort"
    damaged = dict(ours)
    damaged.pop("WorkloadEntry.address")
    damaged.update({"Gateway.wieght": "number", number: "string", derive: "FROM_REQUEST_PORT"})
    found = [path for path, _ in differences(damaged, published)]
    missed = [p for p in ("WorkloadEntry.address", "Gateway.wieght", number, derive) if p not in found]
    return "".join(f"{path} was damaged and not named\n" for path in missed)
