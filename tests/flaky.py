"""Whether a test fails now and then: ``make flaky``.

Beside processes that burn both cores, the suite runs in five random orders, and every file of
tests with threads, processes or locks twenty times. What was run is in the ledger, so that a run
that is stopped goes on; ``--table`` prints it. A test that failed once is a defect.

    python tests/flaky.py                                       # all, hours
    python tests/flaky.py tests/app/session/test_jobs.py        # these files alone
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CONCURRENT = re.compile(
    r"\bimport (threading|subprocess|multiprocessing|signal|asyncio|psutil)\b"
    r"|\bos\.fork\b|JobQueue|FileLock|\bZygote\b|concurrent\.futures"
)
"""What is found in files of tests with threads, processes or locks."""


def main() -> int:
    """Run what is left; the exit code is 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="run these alone; default: orders and all files")
    parser.add_argument("--folder", type=Path, default=Path(".flaky"))
    parser.add_argument("--orders", type=int, default=5, help="of the whole suite")
    parser.add_argument("--times", type=int, default=20, help="of every concurrent file")
    parser.add_argument("--burners", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after")
    parser.add_argument("--table", action="store_true", help="only print what was found")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    ledger = options.folder / "ledger.jsonl"
    orders = [] if options.files else [("", seed) for seed in range(options.orders)]
    files = options.files or concurrent_files()
    repeats = [(file, seed) for seed in range(options.times) for file in files]
    end = time.monotonic() + 60 * options.minutes
    if not options.table:
        done = {(entry["file"], entry["seed"]) for entry in entries(ledger)}
        with burning(options.burners):
            for file, seed in [*orders, *repeats]:
                if (file, seed) not in done and time.monotonic() < end:
                    entry = run(file, seed)
                    with ledger.open("a") as out:
                        out.write(json.dumps(entry) + "\n")
                    found = ", ".join(entry["failed"]) or f"exit code {entry['code']}"
                    print(f"{file or 'all'} {seed}: {found}", flush=True)
    return summary(entries(ledger))


def concurrent_files() -> list[str]:
    """Files of tests with threads, processes or locks."""
    return [
        path.relative_to(ROOT).as_posix()
        for path in sorted(TESTS.rglob("test_*.py"))
        if CONCURRENT.search(text := path.read_text("utf-8"))
        and "pytestmark = pytest.mark.gui" not in text
    ]


def run(file: str, seed: int) -> dict[str, Any]:
    """A file in the order of a seed, or all in parallel, as an entry of the ledger."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "randomly", f"--randomly-seed={seed}"]
    command += [file, "-n0"] if file else ["--numprocesses=auto", "--dist=worksteal"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "-m", "not slow and not gpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"UNNOISE_NEW_EXAMPLES": "1"},
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return {
        "file": file,
        "seed": seed,
        "code": done.returncode,
        "failed": failed,
        "output": done.stdout[-4000:] if done.returncode not in (0, 5) else "",
        "seconds": round(time.monotonic() - started, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Processes that take what they get of the machine, and end with this one."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10**6))"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def entries(ledger: Path) -> list[dict[str, Any]]:
    """What was run; a line that a kill cut off is left out."""
    found = []
    for line in ledger.read_text("utf-8").splitlines() if ledger.exists() else []:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def summary(found: list[dict[str, Any]]) -> int:
    """Print how often what was run, and whatever failed; 1 where something did."""
    bad = [entry for entry in found if entry["code"] not in (0, 5)]
    whole = sum(not entry["file"] for entry in found)
    files = {entry["file"] for entry in found if entry["file"]}
    print(
        f"| {whole} | {len(found) - whole} of {len(files)} files | {len(bad)} "
        f"| {sum(entry['seconds'] for entry in found) / 60:.0f} min |"
    )
    for entry in bad:
        print(f"    {entry['file'] or 'all'}, seed {entry['seed']}: {entry['failed']}")
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
