"""Judge what `pyright --outputjson --verifytypes supportflow` says, read from standard input.

No type may be unknown but those of Hypothesis's strategies. Every public name must be annotated so that all type checkers agree on
it, with one exception: a desk's operations. Their types follow from the programs, so that no
parameter is written twice; `tests/typing/desks.py` shows that mypy and pyright infer them alike.
"""

import json
import sys
from typing import Any

from generate import modules

PUBLIC = set(modules()) - {"supportflow.desk"}
#: Hypothesis's strategies and bundles: what they hold is inferred, here as everywhere.
INFERRED = {
    "supportflow.testing.outbox_machine",
    "supportflow.testing.store_machine",
    "supportflow.testing.strategies",
}


def owner(symbol: str, known: set[str]) -> str:
    """Return the module that a name belongs to."""
    while symbol not in known:
        symbol = symbol.rpartition(".")[0]
    return symbol


def place(found: dict[str, Any]) -> str:
    """Return where a fault is; pyright gives no line for what only a whole module shows."""
    line = found.get("range", {}).get("start", {}).get("line")
    return found["file"] if line is None else f"{found['file']}:{line + 1}"


def faults(symbol: dict[str, Any], known: set[str]) -> list[str]:
    """Return what is wrong with one symbol, as lines that name the file and the line."""
    home = owner(symbol["name"], known)
    if home in INFERRED:
        return []
    unknown = not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    if not unknown and home not in PUBLIC:
        return []
    return [
        f"{place(found)}: {symbol['name']}: {found['message'].splitlines()[0]}"
        for found in symbol["diagnostics"]
        if found["severity"] == "error"
    ] or [f"{symbol['name']}: its type is unknown"] * unknown


def main() -> int:
    """Print every fault; the exit status says whether there is one."""
    report = json.load(sys.stdin)["typeCompleteness"]
    symbols = [symbol for symbol in report["symbols"] if symbol["isExported"]]
    known = {module["name"] for module in report["modules"]}
    found = [line for symbol in symbols for line in faults(symbol, known)]
    print(*found, sep="\n", end="\n" * bool(found))
    print(f"{len(symbols)} public names looked at, {len(found)} faults")
    return not symbols or bool(found)


if __name__ == "__main__":
    sys.exit(main())
