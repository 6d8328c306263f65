"""Coverage by package, and the files that tests pass least: ``make coverage``.

python tests/packages_covered.py coverage.json --least 92
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

PARTS = ("num_statements", "num_branches", "missing_lines", "missing_branches")


def main() -> int:
    """Print a table; the exit code is 1 where lines and branches together are below the least."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="what `coverage json` wrote")
    parser.add_argument("--least", type=float, default=0.0, help="percent")
    options = parser.parse_args()
    files = json.loads(options.report.read_text("utf-8"))["files"]
    print(table(files))
    share = covered([entry["summary"] for entry in files.values()])
    return int(share < options.least)


def covered(counts: list[dict[str, Any]]) -> float:
    """Percent of the lines and branches of files that were run.

    Examples
    --------
    >>> covered([dict(num_statements=8, num_branches=2, missing_lines=1, missing_branches=1)])
    80.0
    """
    lines, branches, no_lines, no_branches = (sum(c[part] for c in counts) for part in PARTS)
    return float(100 * (1 - (no_lines + no_branches) / max(lines + branches, 1)))


def table(files: dict[str, Any]) -> str:
    """Packages with their coverage, and where in their files no test came by."""
    packages = defaultdict[str, list[tuple[str, dict[str, Any]]]](list)
    for name, entry in files.items():
        inside = name.rpartition("unnoise/")[2]
        folder = inside.rpartition("/")[0] or "(itself)"
        packages[folder].append((inside.rpartition("/")[2], entry["summary"]))
    rows = ["| package | lines | branches | covered | least |", "|---|---|---|---|---|"]
    for package, found in sorted(packages.items()):
        counts = [c for _, c in found]
        lines, branches = (sum(c[part] for c in counts) for part in PARTS[:2])
        worst = sorted(found, key=lambda f: -f[1]["missing_lines"] - f[1]["missing_branches"])[:3]
        least = ", ".join(
            f"`{name}` {covered([c]):.0f} %" for name, c in worst if covered([c]) < 95
        )
        rows.append(f"| `{package}` | {lines} | {branches} | {covered(counts):.1f} % | {least} |")
    every = [entry["summary"] for entry in files.values()]
    lines, branches = (sum(c[part] for c in every) for part in PARTS[:2])
    return "\n".join([*rows, f"| all | {lines} | {branches} | {covered(every):.1f} % | |"])


if __name__ == "__main__":
    raise SystemExit(main())
