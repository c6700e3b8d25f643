"""Prove that the kit loads what is asked for, and says what it needs."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import supportflow.testing as kit


def run_python(code):
    """Run code in a fresh interpreter and return what it prints."""
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_name_is_there():
    """`__all__` promises nothing that is missing."""
    assert [] == [name for name in kit.__all__ if not hasattr(kit, name)]
    assert set(kit.__all__) <= set(dir(kit))
    assert sorted(kit.__all__) == kit.__all__


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name fails as it does with any module."""
    with pytest.raises(AttributeError, match="StoreContrakt"):
        kit.StoreContrakt  # noqa: B018  (asking is what is tested)


def test_a_test_library_is_loaded_on_demand():
    """A platform that runs by itself, and a clock, need neither pytest nor hypothesis."""
    code = (
        "import sys; from supportflow.testing import FakeClock; import supportflow.testing.platforms;"
        "print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    assert "[]\n" == run_python(code)


@pytest.mark.parametrize(
    ("library", "name"), [("pytest", "StoreContract"), ("hypothesis", "StoreMachine")]
)
def test_a_missing_library_is_named(library, name):
    """Without the extra, the error says how to get it."""
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"import supportflow.testing as kit\n"
        f"try:\n    kit.{name}\nexcept ImportError as error:\n    print(error)"
    )
    assert (
        f"supportflow.testing.{name} needs an extra: pip install 'supportflow[testing]'\n"
    ) == run_python(code)


def test_every_assert_of_the_kit_is_rewritten():
    """Each module that asserts is known before it is loaded; none is listed that is not there."""
    folder = Path(kit.__file__).parent
    asserting = {
        f"supportflow.testing.{path.stem}"
        for path in folder.glob("*.py")
        if any(
            isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
    }
    assert [] == sorted(asserting - {*kit._KIT})
    assert [] == [name for name in kit._KIT if find_spec(name) is None]


def test_asserts_of_the_kit_explain_themselves():
    """A failing contract test shows both sides, as a test of one's own does."""
    with pytest.raises(AssertionError, match="Right contains 3 more items"):
        kit.StoreContract().test_messages_come_by_their_time(Forgetful())


class Forgetful:
    """A store that finds nothing."""

    def commit(self, changes):
        pass

    def find(self, query):
        from supportflow.stores import Results

        return Results()
