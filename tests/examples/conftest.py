"""Run the scripts in examples/ as their readers do: in a process of their own, from anywhere."""

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Give the log back as it was: a script that runs in this process sets it up for itself."""
    log = logging.getLogger("supportflow")
    before = log.level, log.propagate
    yield
    log.setLevel(before[0])
    log.propagate = before[1]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return a function that runs a script in an empty directory and returns the lines it prints.

    It fails unless the script ends with 0 and leaves nothing behind.
    """

    def run(name: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / name)],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1", "TMPDIR": str(tmp_path)},
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        assert [] == list(tmp_path.iterdir())
        return done.stdout.splitlines()

    return run


@pytest.fixture
def load() -> Callable[[str], ModuleType]:
    """Return a function that loads a script as a module, without running it."""

    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded
