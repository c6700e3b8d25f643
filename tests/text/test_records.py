"""Records: the same ones wherever the bytes break off, and no stray quote takes a neighbour."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import PayloadError
from supportflow.text.records import cells, cut

CELL = st.text(
    st.sampled_from('ab",\r\n жک😀') | st.characters(codec="utf-8", exclude_characters="\x00")
)
ROWS = st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=6)


def written(rows: list[list[str]], end: str) -> bytes:
    """Write rows with the standard library, which after a bare newline leaves a return unquoted."""
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    csv.writer(file, lineterminator=end, quoting=quoting).writerows(rows)
    return file.getvalue().encode()


def in_pieces(data: bytes, size: int, *, csv: bool) -> list[bytes]:
    """Cut data that is seen through a window, which grows while it holds no whole record."""
    found, at, seen = [], 0, size
    while at < len(data):
        window = data[at : at + seen]
        records, used = cut(window, csv=csv, ends=at + seen >= len(data))
        found += records
        at, seen = at + used, size if used else seen + size
    return found


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
def test_rows_written_elsewhere_are_read_as_they_were(
    rows: list[list[str]], end: str, size: int
) -> None:
    """What the standard library writes is read back, whatever is quoted and wherever it is cut."""
    assert rows == [cells(row) for row in in_pieces(written(rows, end), size, csv=True)]


@given(st.binary(max_size=60), st.integers(1, 20), st.booleans())
def test_no_byte_is_lost(data: bytes, size: int, csv: bool) -> None:
    """Records follow each other without a gap, whatever the bytes are."""
    found = b"".join(in_pieces(data, size, csv=csv))
    assert data.removesuffix(b"\n") == found.removesuffix(b"\n")


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line)), st.integers(1, 20))
def test_lines_end_where_a_newline_is(lines: list[bytes], size: int) -> None:
    """For lines, nothing but the newline counts."""
    data = b"".join(line + b"\n" for line in lines)
    assert [line + b"\n" for line in lines] == in_pieces(data, size, csv=False)


@pytest.mark.parametrize(
    "bad",
    [b'2,"never closed', b'2,"closed" and more', b'2,""oh"', b'"', b'2,"x"y,"z'],
    ids=["open", "trailing", "half-doubled", "only", "both"],
)
def test_a_stray_quote_spoils_its_own_line_only(bad: bytes) -> None:
    """The rows before and after one with a stray quote are read, and that one is refused."""
    records, _ = cut(b'1,"a"\n' + bad + b'\n3,"b"\n4,c', csv=True, ends=True)
    assert [b'1,"a"\n', bad + b"\n", b'3,"b"\n', b"4,c\n"] == records
    with pytest.raises(PayloadError, match="quote"):
        cells(bad)


def test_an_open_quote_waits_for_more() -> None:
    """While more can come, a row that may go on is left alone."""
    assert ([b"1,a\n"], 4) == cut(b'1,a\n2,"b\nc', csv=True, ends=False)


def test_a_full_window_cuts_its_first_row_at_the_line() -> None:
    """Where no more can be held, an open quote ends with its line; a line without end stays."""
    assert ([b'2,"b\n'], 5) == cut(b'2,"b\nc', csv=True, ends=False, full=True)
    assert ([], 0) == cut(b'2,"b c', csv=True, ends=False, full=True)
    assert ([], 0) == cut(b"2,b c", csv=False, ends=False, full=True)


def test_a_full_window_still_waits_for_its_later_rows() -> None:
    """Only the first row of a full window can be too long; the last is merely not all there."""
    assert ([b"1,a\n"], 4) == cut(b'1,a\n2,"b\nc', csv=True, ends=False, full=True)


def test_a_quote_after_the_beginning_of_a_cell_is_a_character() -> None:
    """Inches are no quotation: only a cell that begins with a quote is quoted."""
    assert ['5" pipe', "", ""] == cells(b'5" pipe,,""\r\n')


@pytest.mark.parametrize("unit", [b'"', b'""', b'",', b'"a', b',""'])
def test_a_megabyte_of_quotes_is_read_at_once(unit: bytes) -> None:
    """No pattern goes back over what it has read: otherwise this would not end."""
    data = unit * (1_048_576 // len(unit))
    assert len(data) == sum(map(len, cut(data, csv=True, ends=True)[0])) - 1


def test_bytes_that_are_no_utf8_are_named() -> None:
    """The error says where, so that a person finds it in the file."""
    with pytest.raises(PayloadError, match="byte 2"):
        cells(b"a,\xff")
