"""Cut bytes into records, lines or rows of CSV (RFC 4180), wherever the bytes break off."""

from __future__ import annotations

import re

from supportflow.errors import PayloadError

__all__ = ["cells", "cut"]

# A quoted cell may hold commas, line ends and doubled quotes; nothing follows its last quote
# (https://www.rfc-editor.org/rfc/rfc4180#section-2). Possessive: no input makes it go back.
_QUOTED = r'"[^"]*+(?:""[^"]*+)*+'
_CELL = rf'(?:{_QUOTED}"|[^",\n][^,\n]*+|)'
_ROW = re.compile(rf"{_CELL}(?:,{_CELL})*+\r?\n".encode())
_ROW_BEGUN = re.compile(rf'(?:{_CELL},)*+(?:{_QUOTED}"?\r?|[^",\n][^,\n]*+|)\Z'.encode())
_LINE, _LINE_BEGUN = re.compile(rb"[^\n]*+\n"), re.compile(rb"[^\n]*+\Z")
_PARTS = re.compile(r'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",][^,]*+|)),')


def cut(data: bytes, *, csv: bool, ends: bool, full: bool = False) -> tuple[list[bytes], int]:
    r"""Cut data into records; each keeps its line end, and the last of a file is given one.

    A row with a stray quote is cut off at the end of its line, so that it cannot take its
    neighbours with it; `cells` will refuse it.

    Args:
        data: Bytes from the beginning of a record.
        csv: Whether records are rows of CSV; lines otherwise.
        ends: Whether nothing follows the data.
        full: Whether no more can be held: a first row that is not complete is then cut off at
            the end of its line too.

    Returns:
        The complete records, and how many bytes of the data they are.

    Example:
        >>> cut(b'1,"a\nb"\n2,"c', csv=True, ends=False)
        ([b'1,"a\nb"\n'], 8)
    """
    record, begun = (_ROW, _ROW_BEGUN) if csv else (_LINE, _LINE_BEGUN)
    size, at, found = len(data), 0, []
    if ends and not data.endswith(b"\n"):
        data += b"\n"
    while at < size:
        match = record.match(data, at)
        must = ends or (full and not at)
        if match is None and not must and begun.match(data, at):
            break
        end = match.end() if match else data.find(b"\n", at) + 1
        if not end:
            break
        found.append(data[at:end])
        at = end
    return found, min(at, size)


def cells(row: bytes) -> list[str]:
    """Read one row of CSV.

    Args:
        row: A row in UTF-8, with or without its line end.

    Raises:
        PayloadError: If it is not one, or not UTF-8.

    Example:
        >>> cells(b'17,"She said ""no"", twice"')
        ['17', 'She said "no", twice']
    """
    line = row.removesuffix(b"\n").removesuffix(b"\r")
    if not _ROW.fullmatch(line + b"\n"):
        raise PayloadError("a quote in the row is not closed, or text follows it")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError(f"the row is not UTF-8 at its byte {error.start}") from None
    return [quoted.replace('""', '"') or plain for quoted, plain in _PARTS.findall(text + ",")]
