"""Run every Python block of the README and the documentation, as a reader would."""

import contextlib
import doctest
import io
import re
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parent.parent
MADE = {"_build", "_generated", "dist", "build"}

# A block of text right after a block of Python is what that one prints.
FENCE = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)

# Any mark of Python that a renderer would colour, so that no block can hide from FENCE.
MARK = re.compile(
    r"^[ \t>]*(?:`{3,}|~{3,}|:{3,}).*\b(?:py|python|python3|pycon|ipython)\b",
    re.MULTILINE | re.IGNORECASE,
)


@attrs.frozen
class Block:
    """One block of Python, how many lines of its file stand before it, and what it prints."""

    text: str
    above: int
    prints: str | None = None


def blocks(text: str) -> list[Block]:
    """Find the Python blocks of a page in Markdown."""
    return [
        Block(found[1], text.count("\n", 0, found.start(1)), found[2])
        for found in FENCE.finditer(text)
    ]


def run(block: Block, path: Path, namespace: dict[str, object]) -> None:
    """Run a block: as a session if it shows prompts, else as a program at its own lines."""
    if block.text.startswith(">>>"):
        parser = doctest.DocTestParser()
        session = parser.get_doctest(block.text, namespace, path.name, str(path), block.above)
        doctest.DebugRunner(optionflags=doctest.ELLIPSIS).run(session, clear_globs=False)
        namespace.update(session.globs)
        return
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(compile("\n" * block.above + block.text, str(path), "exec"), namespace)
    if block.prints is not None:
        assert block.prints == shown.getvalue()


def everywhere() -> dict[str, str]:
    """Read every page in Markdown of the project, by its path from the root."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted(paths)
        if not MADE & set(path.relative_to(ROOT).parts)
    }


PAGES = {
    name: text
    for name, text in everywhere().items()
    if (name == "README.md" or name.startswith("docs/")) and blocks(text)
}


@pytest.mark.parametrize("name", PAGES)
def test_every_block_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other, in one namespace, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(PAGES[name]):
        run(block, ROOT / name, namespace)


def test_no_block_is_forgotten() -> None:
    """Whatever is marked as Python on any page, in whatever way, is among the blocks that run."""
    marked = {name: len(MARK.findall(text)) for name, text in everywhere().items()}
    runs = {name: len(blocks(text)) for name, text in PAGES.items()}
    assert {name: count for name, count in marked.items() if count} == runs
    assert "README.md" in runs


def test_every_proof_that_is_named_exists() -> None:
    """A file or folder of the project that a page names is there (what a test proves, say)."""
    named = {
        (name, path)
        for name, text in everywhere().items()
        for path in re.findall(r"`((?:tests|src|docs|examples|tools)/[^`*]*)`", text)
    }
    assert ("docs/guide/guarantees.md", "tests/crash/test_send.py") in named
    places = (lambda name: ROOT, lambda name: (ROOT / name).parent)  # a package names its own
    assert set() == {
        (name, path)
        for name, path in named
        if not any((place(name) / path).exists() for place in places)
    }


@pytest.mark.parametrize(
    "text",
    [
        "```py\n1/0\n```\n",
        "~~~python\n1/0\n~~~\n",
        "```{code-block} python\n1/0\n```\n",
        "  ```python\n  1/0\n  ```\n",
    ],
)
def test_hidden_blocks_are_seen(text: str) -> None:
    """A block in a form that is not run is counted as marked, so that the test above fails."""
    assert [] == blocks(text)
    assert MARK.search(text)


def test_a_wrong_block_fails_at_its_line(tmp_path: Path) -> None:
    """A broken example fails, and the traceback names the page and the line."""
    page = "# A page\n\n```python\nok = 1\n1 / 0\n```\n"
    [block] = blocks(page)
    with pytest.raises(ZeroDivisionError) as caught:
        run(block, tmp_path / "page.md", {})
    assert (str(tmp_path / "page.md"), 5) == (
        str(caught.traceback[-1].path),
        caught.traceback[-1].lineno + 1,
    )


def test_a_wrong_session_fails() -> None:
    """A session whose output differs from what the page shows fails."""
    [block] = blocks("```python\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(doctest.DocTestFailure):
        run(block, Path("page.md"), {})


def test_a_wrong_output_fails() -> None:
    """What the page says that a block prints is compared with what it prints."""
    [block] = blocks("```python\nprint(1)\n```\n\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match="2"):
        run(block, Path("page.md"), {})
