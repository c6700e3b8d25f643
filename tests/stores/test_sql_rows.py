"""Prove that a row which cannot be read says so."""

import pytest

from supportflow.errors import StoreCorrupt
from supportflow.stores.sql_rows import (
    quarantined_of,
    recorded_of,
    removed_of,
    row_of,
    stored_of,
)


@pytest.mark.parametrize(
    ("read", "width"),
    [(stored_of, 23), (row_of, 21), (quarantined_of, 6), (recorded_of, 7), (removed_of, 6)],
)
@pytest.mark.parametrize("value", [None, "", "x", -1, 10**30, 1.5, b"\xff"])
def test_an_unreadable_row_is_corrupt(read, width, value):
    """Whatever a damaged file has in place of a row's values, the error is one of ours."""
    with pytest.raises(StoreCorrupt, match=r"restore a backup|cannot be read"):
        read((value,) * width)
