"""Prove that the table of channels says nothing without a test, and that the README shows it."""

import ast
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from supportflow.testing import ChannelContract

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import channels  # noqa: E402  # found on the path that the line above makes

sys.path.pop(0)

NETWORKS = sorted({offer.name for offer in entry_points(group="supportflow.channels")})


def named_in(path: Path) -> set[str]:
    """Return the names of the tests in a file, those that a kit gives its classes among them."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            kit = set(dir(ChannelContract)) if "ChannelContract" in bases else set()
            found |= {f"{node.name}::{name}" for name in own | kit}
    return found


def test_every_channel_has_its_row():
    """None is left out, and none is made up."""
    assert NETWORKS == sorted(channels.evidence())


@pytest.mark.parametrize("name", channels.evidence())
def test_every_cell_names_a_test_that_exists(name):
    """And what a channel says of itself agrees with what is claimed of it."""
    assert [] == channels.claims(name)
    for ability, test in channels.proofs(name):
        path, _, inside = test.partition("::")
        assert inside.rpartition("::")[2].startswith("test_"), f"{ability}: {test}"
        assert inside in named_in(ROOT / path), f"{ability}: {test}"


def test_the_readme_shows_the_channels():
    """Its table is the one that is generated."""
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.partition("<!-- channels -->\n")[2].partition("\n<!-- /channels -->")[0]
    assert channels.short() == shown, f"put this into README.md:\n{channels.short()}"
