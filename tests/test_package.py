"""Prove what holds for the package as a whole: layers, laziness, typing marker, wheel, version."""

import ast
import graphlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import supportflow

pytestmark = pytest.mark.xdist_group("package")  # together they read every file once

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "supportflow"

# From the bottom up: a module imports from the lines above its own only (and, in a package, from
# its own package). `supportflow/__init__.py` is the lazy front of everything and stands outside.
LAYERS = (
    {"errors"},
    {"http"},
    {"model"},
    {"events", "flow", "playbook", "text", "signing"},
    {"sla"},
    {"machine"},
    {"triage", "etiquette"},
    {"channels", "stores", "notifiers"},
    {"retry", "mail", "fetching"},
    {"transport"},
    {"report"},
    {"desk"},
    {"web", "cli", "testing", "otel"},
    {"__main__"},
)
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}

# Packages of peers: a file in one of them never imports another channel or notifier.
PEERS = {"channels", "notifiers"}
# What several channels of one family share stands in a file of its own.
FAMILIES = {
    f"supportflow.channels.{name}"
    for name in (
        "arguments",
        "meta",
        "meta_account",
        "meta_inbox",
        "meta_page",
        "meta_search",
        "oauth",
        "powers",
        "rest",
        "setup",
    )
}

# What `import supportflow` must not load.
LAZY = ("httpx.", "tenacity.", "dateutil.", "sqlite3.", "psycopg.", "supportflow.channels.")

# Public names that must not be loaded before somebody asks for them.
LATE = {
    "AsyncDesk",
    "AsyncPostgresStore",
    "Desk",
    "MemoryStore",
    "PostgresStore",
    "SQLiteStore",
}


def modules() -> dict[str, Path]:
    """Map the dotted name of every module of the package to its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
FRONTLESS = sorted(set(MODULES) - {"supportflow"})

# The edges: who alone may import what reaches the world or is slow to load.
EDGES = {
    "httpx": {"supportflow.transport"},
    "tenacity": {"supportflow.retry"},
    "smtplib": {"supportflow.mail"},
    "imaplib": {"supportflow.mail"},
    "dateutil": {"supportflow.text.moments"},
    "sqlite3": {"supportflow.stores.sqlite", "supportflow.stores.sqlite_files"},
    "opentelemetry": {"supportflow.otel"},
    "psycopg": {name for name in MODULES if name.startswith("supportflow.stores.postgres")},
}


@cache
def imported(name: str) -> tuple[tuple[str, int], ...]:
    """Return what a module imports anywhere in it (also for types only), with the line."""
    return tuple(imports_of(name))


def imports_of(name: str) -> Iterator[tuple[str, int]]:
    """Yield what a module imports, read from its file."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield (full if full in MODULES else source, node.lineno)


def unit(name: str) -> str:
    """Name the layer's unit that a module of ours belongs to."""
    return name.split(".")[1] if "." in name else name


def run_python(code: str) -> str:
    """Run code in a fresh interpreter that nothing measures, and return what it prints."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, env=clean, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement adds to a fresh interpreter."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - before)"
    return set(run_python(code).split())


def ours(name: str) -> Iterator[tuple[str, int]]:
    """Yield only the package's own modules among what a module imports."""
    return ((other, line) for other, line in imported(name) if other.split(".")[0] == "supportflow")


def test_every_module_has_a_layer() -> None:
    """A file that no layer names is a decision that nobody made."""
    assert set() == {unit(name) for name in FRONTLESS} - set(LEVEL)


def test_imports_go_down_only() -> None:
    """A module imports from lower layers and its own package only; never from the lazy front."""
    wrong = [
        f"line {line}: {name} must not import {other}"
        for name in FRONTLESS
        for other, line in ours(name)
        if unit(other) != unit(name)
        and LEVEL.get(unit(other), len(LAYERS)) >= LEVEL.get(unit(name), 0)
    ]
    assert [] == wrong


def test_peers_never_meet() -> None:
    """One channel knows nothing of another: what they share stands in the package's front."""
    wrong = [
        f"line {line}: {name} must not import {other}"
        for name in FRONTLESS
        for other, line in ours(name)
        if unit(other) in PEERS
        and other.count(".") > 1
        and name.count(".") > 1
        and other not in {name, *FAMILIES}
    ]
    assert [] == wrong


def test_no_import_cycles() -> None:
    """Every module can be loaded, read and tested with only what lies beneath it."""
    graph = {
        name: {other for other, _ in ours(name) if other in MODULES} - {name} for name in FRONTLESS
    }
    assert set(FRONTLESS) <= set(graphlib.TopologicalSorter(graph).static_order())


def test_edges_stand_in_one_place() -> None:
    """Whoever wants to know what reaches the world reads one file for each way out."""
    wrong = {
        f"line {line}: {name} must not import {other}"
        for name in FRONTLESS
        for other, line in imported(name)
        if name not in EDGES.get(other.split(".")[0], {name})
    }
    assert set() == wrong


def test_import_is_light() -> None:
    """`import supportflow` loads no transport, no retries, no date parser, no database, no channel."""
    loaded = loaded_by("import supportflow")
    assert "supportflow" in loaded
    assert set() == {name for name in loaded if f"{name}.".startswith(LAZY)}


def test_lightness_is_measured() -> None:
    """The way of looking sees a heavy module when there is one."""
    assert "sqlite3" in loaded_by("import sqlite3")


def test_all_names_resolve_when_asked_for() -> None:
    """`__all__` promises nothing that is missing, and what loads much waits until it is named."""
    code = (
        "import json, supportflow\n"
        "eager = sorted(vars(supportflow))\n"
        "missing = [name for name in supportflow.__all__ if not hasattr(supportflow, name)]\n"
        "print(json.dumps([eager, missing, supportflow.__all__, dir(supportflow)]))"
    )
    eager, missing, public, listed = json.loads(run_python(code))
    assert [] == missing
    assert sorted(set(public)) == sorted(public)
    assert set() == set(public) - set(listed)
    assert set() == LATE - set(public)
    assert set() == LATE & set(eager)


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does with any module, naming what was asked for."""
    with pytest.raises(AttributeError, match="Dask"):
        supportflow.Dask  # noqa: B018  (asking is what is tested)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the wheel as a release does, without network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = out.glob("supportflow-*-py3-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_carries_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Nothing that the sources need (py.typed, schema, data files) stays behind, and nothing else comes."""
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    example = ROOT / "examples" / "own_channel"  # what `new-channel` writes
    expected |= {
        f"supportflow/cli/own_channel/{path.relative_to(example).as_posix()}"
        for path in example.rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & {*path.parts}
    }
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert "supportflow/py.typed" in expected
    assert expected == inside


def test_wheel_has_the_licence_and_the_core_dependencies_only(wheel: zipfile.ZipFile) -> None:
    """Whoever installs the core gets four libraries, and no more."""
    name = f"supportflow-{supportflow.__version__}.dist-info"
    metadata = wheel.read(f"{name}/METADATA").decode()
    required = re.findall(r"^Requires-Dist: ([a-z0-9-]+)(?!.*extra ==)", metadata, re.MULTILINE)
    assert ["attrs", "httpx", "python-dateutil", "tenacity", "tzdata"] == sorted(required)
    assert "License-Expression: MIT" in metadata
    assert f"{name}/licenses/LICENSE" in wheel.namelist()


def test_version_is_the_newest_one_in_the_changelog() -> None:
    """The package and its changelog name the same release, once there is one."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    headings = re.findall(r"^## (?!\[Unreleased\]$)(.*)$", text, re.MULTILINE)
    assert len(headings) == len(released), f"a heading is not `## [X.Y.Z] - YYYY-MM-DD`: {headings}"
    assert [supportflow.__version__] == (released[:1] or ["0.1.0"])


def test_every_test_says_what_it_proves() -> None:
    """A test without a docstring leaves its reader to guess what broke."""
    wordless = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert [] == wordless
