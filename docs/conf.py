"""Build the documentation: Sphinx, because it shows the docstrings that the tests run.

Furo needs nothing from another host, and MyST lets every page be Markdown, as the README is.
Nothing is looked up over the network (so no intersphinx): the same sources give the same pages.
"""

import sys
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402  (found on the path that the line above makes)

import supportflow  # noqa: E402  (as above)
from supportflow.desk.shells import Operation  # noqa: E402  (as above)

generate.write(HERE / "_generated")

project = "supportflow"
author = "the supportflow developers"
copyright = "2026, the supportflow developers"  # noqa: A001  (the name that Sphinx reads)
version = release = supportflow.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = f"supportflow {release}"
html_copy_source = False

autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "code"  # in docstrings `this` is code, as it is in Markdown

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3


def read_sections(
    _app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Read `Args:` and its like; what stands at an attribute is prose, even with a colon in it.

    (Napoleon as an extension would take the words before that colon for a type.) An operation
    of a desk is an attribute for Sphinx: it gets the line that shows how to call it.
    """
    kind = what if what in {"module", "class", "exception"} else "function"
    lines[:] = GoogleDocstring(lines, Config(), None, kind, name, obj, options).lines()
    if isinstance(obj, Operation):
        _, *given = obj.__signature__.parameters.values()
        shown = Signature([each.replace(annotation=Parameter.empty) for each in given])
        lines[:0] = [f"``{name.rpartition('.')[2]}{shown}``", ""]


def setup(app: Sphinx) -> None:
    """Connect what the lines above define."""
    app.connect("autodoc-process-docstring", read_sections)
