"""A package made by the generator passes its tests as it is, and nothing of anybody's is overwritten."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from supportflow.cli.new_channel import new_channel
from supportflow.errors import InvalidValue

OWN = Path(__file__).resolve().parents[2] / "examples" / "own_channel"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return what was written for a channel named in two words."""
    return new_channel("corner_shop", tmp_path_factory.mktemp("made"))


def test_it_is_a_whole_package(made):
    """Project, README, source and tests are there, each under the new name."""
    home = made[0].parent
    assert "supportflow-corner-shop" == home.name
    assert [
        "README.md",
        "pyproject.toml",
        "src/supportflow_corner_shop/__init__.py",
        "tests/test_corner_shop.py",
    ] == sorted(path.relative_to(home).as_posix() for path in made)
    assert sorted(path for path in home.rglob("*") if path.is_file()) == sorted(made)


def test_it_registers_itself(made):
    """Its entry point names the class that is there, and nothing of the example's name is left."""
    project = tomllib.loads(made[0].read_text("utf-8"))["project"]
    assert "supportflow-corner-shop" == project["name"]
    offered = {"corner_shop": "supportflow_corner_shop:CornerShop"}
    assert offered == project["entry-points"]["supportflow.channels"]
    texts = [path.read_text("utf-8") for path in made]
    assert "class CornerShop:" in texts[2]
    assert [] == [text for text in texts if "teahouse" in text.casefold()]
    assert "https://corner-shop.example" in texts[3]


def test_it_passes_its_tests_at_once(made):
    """Nothing is installed or changed: `pytest` in the new folder proves the whole contract."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    # What Hypothesis found out about the kit's source is kept there: it takes seconds to find out.
    kept["HYPOTHESIS_STORAGE_DIRECTORY"] = str(OWN.parents[1] / ".hypothesis")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=made[0].parent,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    passed = re.search(r"^(\d+) passed in ", done.stdout, re.MULTILINE)
    assert passed, done.stdout + done.stderr
    assert int(passed[1]) >= 40


def test_its_author_is_told_what_to_change(made):
    """The README names every part that is the invented service's."""
    told = made[1].read_text("utf-8")
    parts = ("ASKED", "TOLD", "send_cases", "_facts", "_request", "traits", "MISSING", "find_sent")
    assert [] == [part for part in parts if f"`{part}`" not in told]
    texts = made[2].read_text("utf-8") + made[3].read_text("utf-8")
    assert [] == [part for part in parts if part not in texts]


def test_the_example_is_what_it_writes(tmp_path):
    """There is one source: under the example's own name, the example comes out to the letter."""
    for path in new_channel("teahouse", tmp_path):
        name = path.relative_to(tmp_path / "supportflow-teahouse")
        assert (OWN / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Chatter",
        "tea house",
        "tea-house",
        "tea__house",
        "_tea",
        "tea_",
        "7up",
        "чай",
        "tea/house",
        "..",
        "../tea",
        "tea\n",
        "tea\x00",
        "class",
        "x" * 41,
    ],
)
def test_a_bad_name_is_refused(tmp_path, name):
    """One error says what a name may be, and nothing is written anywhere."""
    with pytest.raises(InvalidValue, match="cannot name a channel: use at most 40 lower-case"):
        new_channel(name, tmp_path)
    assert [] == [*tmp_path.parent.glob("supportflow-*"), *tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["none", "true", "any", "flow", "page_case"])
def test_a_name_that_means_something_else_is_refused(tmp_path, name):
    """The class would hide what its own module, or its tests, import."""
    with pytest.raises(InvalidValue, match="which means something else"):
        new_channel(name, tmp_path)


def test_a_name_may_begin_as_the_example_does(tmp_path):
    """Each word is replaced once."""
    texts = [path.read_text("utf-8") for path in new_channel("teahouse_two", tmp_path)]
    assert 'name = "supportflow-teahouse-two"' in texts[0]
    assert [] == [text for text in texts if "two-two" in text or "two_two" in text]


def test_a_name_that_is_taken_is_refused(tmp_path):
    """A second package of that name could not be loaded beside the first."""
    with pytest.raises(InvalidValue, match=r"'mastodon' already, supportflow\.channels\.mastodon"):
        new_channel("mastodon", tmp_path)


def test_what_is_there_stays(tmp_path):
    """A folder of that name is not touched, whatever is in it."""
    (tmp_path / "supportflow-corner").mkdir()
    with pytest.raises(InvalidValue, match="is there already; take it away"):
        new_channel("corner", tmp_path)
    assert [] == [*(tmp_path / "supportflow-corner").iterdir()]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """A folder that is missing is no surprise with a traceback."""
    with pytest.raises(InvalidValue, match=r"supportflow-corner cannot be written: No such"):
        new_channel("corner", tmp_path / "nowhere")
