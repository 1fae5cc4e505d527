"""Values of options, as they are written and as the help shows them."""

from __future__ import annotations

import pytest
from cyclopts import Token

from extproc.cli.values import _shown_size, _size


@pytest.mark.parametrize(
    ("written", "size"), [("1", 1), ("7B", 7), ("3KiB", 3072), ("64MiB", 1 << 26), ("1 GiB", 1 << 30)]
)
def test_sizes_are_bytes(written: str, size: int) -> None:
    assert _size(None, [Token(value=written)]) == size


@pytest.mark.parametrize("written", ["", "0", "64MB", "-1", "1.5MiB", "MiB", "1e3", "٣"])
def test_anything_else_is_no_size(written: str) -> None:
    with pytest.raises(ValueError, match="512KiB, 64MiB or 1GiB"):
        _size(None, [Token(value=written)])


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 1 << 26, 1 << 30, 3 << 29])
def test_what_is_shown_is_read_back(size: int) -> None:
    assert _size(None, [Token(value=_shown_size(size))]) == size
