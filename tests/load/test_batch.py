"""A small folder with broken files, and the load of it in small."""

from __future__ import annotations

from pathlib import Path

from load import batch
from load.ledger import Ledger


def test_a_small_batch_loses_nothing(tmp_path: Path) -> None:
    found = batch.measured(20, each=False, folder=tmp_path)
    assert found["losses"] == []
    assert found["told"].startswith("19 right, 1 named failures of 1 kinds")
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    good, broken = batch.folder_of(tmp_path / "in", 11)
    out = tmp_path / "out"
    out.mkdir()
    (out / "unnoise-run.jsonl").write_text("")
    (out / "left.part").write_text("")
    losses, right = batch.compared(out, good, broken, each=False)
    assert right == 0
    assert sum("has no result" in text for text in losses) == len(good) == 10
    assert sum("the ledger has 0" in text for text in losses) == 11
    assert "left.part was left behind" in losses


def test_a_ledger_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    result = {"amount": "3 files", "losses": [], "told": "flat"}
    ledger.add("batch", "load.batch --files 3", result)
    with ledger.path.open("a") as file:
        file.write('{"load": "ba')
    assert ledger.has("load.batch --files 3")
    assert not ledger.has("load.batch --files 4")
    assert "| 3 files | 0 | flat | `python -m load.batch --files 3` |" in ledger.table()
