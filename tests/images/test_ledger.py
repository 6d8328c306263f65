"""Laws of the ledger: what it says is done is done, whatever was cut or written beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.images.ledger import Ledger, _line


def test_several_processes_add_to_one_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(tmp_path) as a, Ledger(tmp_path) as b:
        a.add([1, 5])
        monkeypatch.setattr("unnoise.images.ledger.STARTED", 7)  # as another process
        b.add([2])
        a.add([7])
        a.add([])
        assert Ledger(tmp_path).done() == {1, 2, 5, 7}
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_read_before_is_not_read_again(tmp_path: Path) -> None:
    file, reader = tmp_path / "done.a.1.2", Ledger(tmp_path)
    file.write_bytes(_line(4) + _line(5)[:3])
    assert reader.done() == {4}
    with open(file, "r+b") as known:
        known.write(b"\0" * len(_line(4)))
    with open(file, "ab") as more:
        more.write(_line(5)[3:] + _line(6))
    assert reader.done() == {4, 5, 6}


def test_a_ledger_that_adds_nothing_leaves_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        assert ledger.done() == set()
    assert not list(tmp_path.iterdir())


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(0, 10**9), max_size=9), cut=st.integers(0, 200))
def test_a_line_that_was_cut_is_no_line(
    numbers: list[int], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    lines = [_line(number) for number in numbers]
    text = b"".join(lines)[:cut]
    (folder / "done.a.1.2").write_bytes(text)
    whole, length = set(), 0
    for number, line in zip(numbers, lines, strict=True):
        length += len(line)
        if length <= len(text):
            whole.add(number)
    assert Ledger(folder).done() == whole


@pytest.mark.parametrize("text", [b"12 00000000\n", b"12\n", b"\x00\x00\x00\n", b"-1 0\n", b" \n"])
def test_what_no_ledger_wrote_does_not_count(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "done.a.1.2").write_bytes(text + _line(4))
    assert Ledger(tmp_path).done() == {4}
