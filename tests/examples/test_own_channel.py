"""A stranger's channel: installed with the built wheel it passes its tests, and the guide shows it whole."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from supportflow.testing import ChannelContract

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "examples" / "own_channel"
CHANNEL = OWN / "src" / "supportflow_teahouse" / "__init__.py"
TESTS = OWN / "tests" / "test_teahouse.py"
PAGE = (ROOT / "docs" / "guide" / "own_channel.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def call(*command: object, cwd: Path, status: int = 0) -> str:
    """Run a command that nothing measures, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    quick = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # What Hypothesis found out about the kit's source: it takes seconds to find out.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
    }
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**kept, **quick, "PYTHONPATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert status == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a fresh environment with the two wheels, as they would be published.

    What they depend on is lent from here, without network. Of what lies beside it, an editable
    supportflow is not seen: the `.pth` files of a directory that is lent are not read.
    """
    dist, home = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("evening") / "venv"
    for source in (ROOT, OWN):
        call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist, cwd=source)
    venv.create(home, symlinks=os.name != "nt")
    where = {"base": str(home), "platbase": str(home)}
    inside = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(sysconfig.get_path("purelib", "venv", vars=where))
    options = ("--quiet", "--no-deps", "--no-index", "--target", site)
    call(sys.executable, "-m", "pip", "install", *options, *dist.glob("*.whl"), cwd=dist)
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return inside


def test_it_is_an_evening_of_work() -> None:
    """The channel has at most 60 lines beside blank ones, and the whole file of tests at most 50."""
    lines = CHANNEL.read_text("utf-8").splitlines()
    assert 40 <= sum(bool(line.strip()) for line in lines) <= 60
    assert 30 <= len(TESTS.read_text("utf-8").splitlines()) <= 50


@pytest.mark.xdist_group("own_channel")  # the environment is made once
def test_it_passes_its_own_tests_against_the_wheels(python: Path, tmp_path: Path) -> None:
    """Installed beside the built supportflow, the package keeps the whole contract."""
    (tmp_path / TESTS.name).write_bytes(TESTS.read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    said = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    passed = re.search(r"^(\d+) passed in ", said, re.MULTILINE)
    assert passed, said
    assert int(passed[1]) >= 25


@pytest.mark.xdist_group("own_channel")
def test_it_is_found_by_its_name(python: Path, tmp_path: Path) -> None:
    """The entry point makes it a channel like the built-in ones; both come from the wheels."""
    code = (
        "import supportflow, supportflow_teahouse as teahouse\n"
        "from supportflow.channels import load\n"
        "print(load('teahouse') is teahouse.Teahouse, load('archive').__name__)\n"
        "print(supportflow.__file__)\nprint(teahouse.__file__)"
    )
    found, *files = call(python, "-c", code, cwd=tmp_path).splitlines()
    assert "True Archive" == found
    home = python.parent.parent.resolve()
    assert [True, True] == [home in Path(file).resolve().parents for file in files]


@pytest.mark.xdist_group("own_channel")
def test_a_new_one_is_written_from_the_wheel(python: Path, tmp_path: Path) -> None:
    """The example is in the wheel, and nothing of a checkout is needed to begin another channel."""
    code = (
        "from pathlib import Path; from supportflow.cli.new_channel import new_channel\n"
        "print(*new_channel('corner_shop', Path()), sep='\\n')"
    )
    written = call(python, "-c", code, cwd=tmp_path).split()
    assert 4 == len([path for path in written if (tmp_path / path).is_file()])


@pytest.mark.parametrize(
    "path", [CHANNEL, TESTS, OWN / "pyproject.toml"], ids=lambda path: path.name
)
def test_the_guide_shows_the_files_that_are_tested(path: Path) -> None:
    """What a stranger copies from the page is, to the letter, what the tests above install."""
    assert path.read_text("utf-8") in [text for _, text in BLOCKS]


@pytest.mark.xdist_group("own_channel")
def test_a_failure_explains_itself_to_a_stranger(python: Path, tmp_path: Path) -> None:
    """With the wheels alone, in a folder with no configuration, an assert of the kit shows both sides."""
    broken = "SORRY = model.Outgoing(", "SORRY = __import__('attrs').evolve(model.Outgoing("
    text = TESTS.read_text("utf-8").replace(*broken).replace("ANNA, AT)", 'ANNA, AT), text="Oh!")')
    (tmp_path / TESTS.name).write_text(text, "utf-8")
    command = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "sends_as_recorded")
    said = call(*command, cwd=tmp_path, status=1)
    assert "AssertionError: a reply\n" in said
    assert "'text': 'Sorry!'" in said
    assert "'text': 'Oh!'" in said


def test_the_guide_names_every_test_of_the_contract() -> None:
    """What is proved is said once, and nothing is said that is not proved."""
    tests = {name for name in dir(ChannelContract) if name.startswith("test_")}
    assert tests == {*re.findall(r"`(test_\w+)`", PAGE)}


def written(folder: Path) -> None:
    """Do what the page says in an empty folder, its webhooks included."""
    channel, calling, tests, calling_tests = (
        next(
            text
            for kind, text in BLOCKS
            if kind == "python" and re.search(rf"class {name}\b", text)
        )
        for name in ("Teahouse", "CallingTeahouse", "TestTeahouse", "TestCallingTeahouse")
    )
    both = "import CallingTeahouse, Teahouse"
    (folder / "supportflow_teahouse.py").write_text(channel + calling, "utf-8")
    text = tests.replace("import Teahouse", both) + calling_tests
    (folder / "test_teahouse.py").write_text(text, "utf-8")


def test_a_stranger_can_follow_the_guide(tmp_path: Path) -> None:
    """With the page's webhooks added, the channel keeps the contract of webhooks too."""
    written(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    command = ("-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", "Calling")
    said = call(sys.executable, *command, cwd=tmp_path)
    for proof in ("what_is_not_signed_is_refused", "each_status_means_what_it_means"):
        assert f"::TestCallingTeahouse::test_{proof} PASSED" in said
