"""-o json of every command: what it prints is what configs/schema/sluicectl says.

In: a running gateway with traffic, the schemas. Out: each command of the tree has a line in COMMANDS, a
schema, and prints what the schema allows; each schema belongs to a command.
"""

import json
import os
import time

import jsonschema
import pytest
import yaml
from harness import mesh
from harness.bench import BACKENDS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMAS = os.path.join(ROOT, "configs", "schema", "sluicectl")


GIVEN = os.path.join(ROOT, "configs", "mesh")   # files that some command reads; nothing is changed


def open_connection(web):
    """The id of a connection to a backend, which stays in its pool."""
    web.ask("/")
    return json.loads(web.gateway.ctl("-o", "json", "connections", "list", "--state", "upstream", check=True).stdout)["connections"][0]["id"]


# How each command is tried here: its arguments (or what finds them), and the exit codes it may end with.
# What a command changes (drain) is undone after it.
COMMANDS = {
    "status": ([], {0, 1}),
    "doctor": ([], {0, 1, 2}),   # whatever this machine is like
    "analyze": ([os.path.join(ROOT, "configs", "samples", "echo")], {0}),
    "wait ready": (["--timeout", "5s"], {0}),
    "wait revision": (["1"], {0}),
    "config show": ([], {0}),
    "config history": ([], {0}),
    "config diff": ([], {0}),
    "config apply": (["--dry-run", "--prune", GIVEN], {0}),
    "config rollback": (["--dry-run"], {0, 1}),
    "pc listeners": ([], {0}),
    "pc routes": ([], {0}),
    "pc clusters": ([], {0}),
    "pc endpoints": ([], {0}),
    "pc secrets": ([], {0, 1}),
    "runtime": (["--interval", "100ms"], {0}),
    "top": (["--count", "2", "--interval", "100ms"], {0}),
    "drops": (["--zeros"], {0}),
    "connections list": ([], {0}),
    "connections show": (lambda web: [open_connection(web)], {0}),
    "connections close": (lambda web: [open_connection(web), "--wait", "0s"], {0, 1}),
    "log tail": (["--no-follow"], {0}),
    "stats": (["upstream"], {0}),
    "drain": ([], {0}),
    "undrain": ([], {0}),
    "log reopen": ([], {0}),
    "log level": ([], {0}),
    "commands": ([], {0}),
}
# Text by nature: a script, a page, a file of packets.
TEXT = {"completion", "man", "capture"}
# Schemas that others refer to.
SHARED = {"finding"}


def schema_name(command):
    return command.replace(" ", "_")


@pytest.fixture(scope="module")
def schemas():
    found = {}
    for name in os.listdir(SCHEMAS):
        if name.endswith(".schema.json"):
            with open(os.path.join(SCHEMAS, name)) as file:
                found[name.removesuffix(".schema.json")] = json.load(file)
    return found


def validator(schemas, name):
    store = {f"{key}.schema.json": schema for key, schema in schemas.items()}
    resolver = jsonschema.RefResolver(base_uri="", referrer=schemas[name], store=store)
    return jsonschema.Draft202012Validator(schemas[name], resolver=resolver)


def undescribed(schema, where):
    """Objects that leave their keys open, and fields without a word about them (but counts by class)."""
    if isinstance(schema, list):
        for i, one in enumerate(schema):
            yield from undescribed(one, f"{where}[{i}]")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        yield f"{where}: additionalProperties is not said"
    for key, value in schema.items():
        yield from undescribed(value, f"{where}.{key}")


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    for _ in range(3):
        bench.ask("/")
    yield bench
    bench.gateway.ctl("undrain", check=True)


def commands_of(gateway):
    return [one["command"] for one in json.loads(gateway.ctl("commands", "-o", "json", check=True).stdout)["commands"]]


def test_every_command_has_a_schema_and_a_line_here(web, schemas):
    commands = set(commands_of(web.gateway)) - TEXT
    assert commands == set(COMMANDS), "the table of this test and the command tree differ"
    assert {schema_name(c) for c in commands} | SHARED == set(schemas), "configs/schema/sluicectl and the command tree differ"


def test_schemas_are_schemas(schemas):
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"{name}.schema.json"
        assert not list(undescribed(schema, name))


@pytest.mark.parametrize("command", COMMANDS)
def test_output_follows_its_schema(web, schemas, command):
    arguments, codes = COMMANDS[command]
    arguments = arguments(web) if callable(arguments) else arguments
    done = web.gateway.ctl("-o", "json", *command.split(), *arguments)
    assert done.returncode in codes, done.stderr or done.stdout
    checker = validator(schemas, schema_name(command))
    try:
        values = [json.loads(done.stdout)]
    except json.JSONDecodeError:   # a command that streams: one value a line
        values = [json.loads(line) for line in done.stdout.splitlines()]
    assert values
    for value in values:
        errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in checker.iter_errors(value)]
        assert not errors, "\n".join(errors)


def test_yaml_says_the_same(web):
    as_json = json.loads(web.gateway.ctl("-o", "json", "pc", "routes", check=True).stdout)
    as_yaml = yaml.safe_load(web.gateway.ctl("-o", "yaml", "pc", "routes", check=True).stdout)
    assert as_yaml == as_json


def test_a_refused_edit_is_a_finding_in_json(web, schemas):
    web.write_mesh(mesh.render(mesh.simple(BACKENDS[0])).replace("hosts:", "hostz:", 1))
    config = web.gateway.ctl("-o", "json", "config", "show").stdout
    for _ in range(100):
        if json.loads(config)["refused"]:
            break
        time.sleep(0.05)
        config = web.gateway.ctl("-o", "json", "config", "show").stdout
    config = json.loads(config)
    assert any("hostz" in finding["source_line"] for finding in config["refused"]["diagnostics"]), config
    assert not list(validator(schemas, "config_show").iter_errors(config))
    web.apply(mesh.simple(BACKENDS[0]))
