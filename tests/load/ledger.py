"""What ran, a line of JSON each, and the table of docs/reliability.md.

    python -m load.ledger           # the table, of the newest code that each load ran on

with `tests` on the path. A load that the ledger has of this code is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import time
from pathlib import Path
from typing import Any

FOLDER = Path(".load")
"""Where loads work, with their ledger."""
SOURCE = Path(__file__).parents[2] / "src"


def code() -> str:
    """A number for the code under test."""
    total = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


class Ledger:
    """The lines of a folder; one that a kill cut off is none."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.path = folder / "ledger.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """All of them."""
        found = []
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def has(self, key: str) -> bool:
        """Whether a load ran on this code."""
        now = code()
        return any(
            line["key"] == key and line["code"] == now and not line.get("stopped")
            for line in self.lines()
        )

    def add(self, load: str, key: str, result: dict[str, Any]) -> None:
        """Write down how a load ended.

        Parameters
        ----------
        load : str
            The module.
        key : str
            The command, which tells the amount.
        result : dict
            ``amount``, ``losses`` (a list of sentences), ``told`` (what was measured, for people)
            and whatever else it has; ``stopped`` where it did not come to its end.
        """
        line = {"load": load, "key": key, "code": code(), "date": time.strftime("%Y-%m-%d")}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | result) + "\n")

    def table(self) -> str:
        """Load, amount, losses, what was measured, command, date."""
        newest = {(line["load"], line["key"]): line for line in self.lines()}
        rows = [
            f"| {one['amount']}{', stopped before its end' if one.get('stopped') else ''} | "
            f"{len(one['losses'])} | {one['told']} | `python -m {one['key']}` |"
            f" {one['date']}, code {one['code']} |"
            for one in newest.values()
        ]
        head = "| load | losses | growth, rate (with 95 % interval) | command | when |"
        return "\n".join([head, "|---|---|---|---|---|", *rows])


def run_once(load: str, options: argparse.Namespace, key: str, work: Any) -> int:
    """Run a load that the ledger has not, and tell of it; 1 where something was lost.

    A signal to stop is KeyboardInterrupt in the work, which may tell what it saw until then; of
    one that is killed the ledger has that it began.
    """
    ledger = Ledger(options.folder)
    if ledger.has(key) and not options.again:
        print(f"{key}: the ledger {ledger.path} has it of this code; --again runs it again")
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    begun = {"amount": load, "losses": [], "told": "nothing", "stopped": True}
    ledger.add(load, key, begun)
    try:
        result = work()
    except KeyboardInterrupt:
        result = begun
    ledger.add(load, key, result)
    if result.get("stopped"):
        result["amount"] += ", stopped before its end"
    print(f"{result['amount']}: {len(result['losses'])} losses; {result['told']}")
    for loss in result["losses"]:
        print(f"LOSS: {loss}")
    return int(bool(result["losses"] or result.get("stopped")))


def arguments(about: str) -> argparse.ArgumentParser:
    """The options that all loads have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where it works")
    parser.add_argument("--again", action="store_true", help="though the ledger has it")
    return parser


if __name__ == "__main__":
    wanted = arguments(__doc__.splitlines()[0]).parse_args()
    print(Ledger(wanted.folder).table())
