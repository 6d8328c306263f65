"""Whether ordinary images come out as well as with another checkout, and start-up as fast.

    git worktree add ../base 0e50cef
    python benchmarks/unchanged.py --base ../base              # about 10 minutes on one thread
    python benchmarks/unchanged.py --base ../base --only instant startup
    python benchmarks/unchanged.py --base ../base --whole      # 512x512 and all channels: hours

Centres of 256x256 pixels of the development fields of W2S (one channel each), and of scikit-image's
`camera` with photon and read noise, by every method with fixed steps, three seeds, paired. Every
result is kept, by commit, so a second run goes on where the first was interrupted. The limit is
0.05 dB for the mean over images and seeds of a method, and for each image over seeds; CPU seconds
of start-up may be 1.1 times those of the base.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import imagecodecs
import numpy as np

from common import HERE, alone, data, origin, record, recorded

STEPS = {"instant": None, "n2v": 60, "structn2v": 60, "adapted": 60}
FIELDS = ("001", "005", "009", "013")
SEEDS = (0, 1, 2)
LIMIT_DB, LIMIT_RATIO = 0.05, 1.1
COMMANDS = {
    "import unnoise": ["-c", "import unnoise"],
    "unnoise --help": ["-m", "unnoise", "--help"],
    "unnoise inspect": ["-m", "unnoise", "inspect", "noisy.tif"],
    "unnoise denoise, 1 step": [
        *("-m", "unnoise", "denoise", "noisy.tif", "--method", "n2v", "--steps", "1"),
        *("--no-tta", "--no-report", "--overwrite", "-q", "-o", "clean.tif"),
    ],
}
WORK = """
import sys
import numpy as np, unnoise
source, target, method, steps, seed = sys.argv[1:]
budget = {} if steps == "None" else {"steps": int(steps)}
noisy = np.load(source)
np.save(target, unnoise.denoise(noisy, method=method, seed=int(seed), **budget))
"""


def images(*, whole: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, noisy and clean image."""
    for i, field in enumerate(FIELDS):
        for channel in range(3) if whole else [i % 3]:
            path = data("w2s") / f"{field}_{channel}__noisy.png"
            truth = imagecodecs.imread(str(path.with_name(f"{field}_{channel}__gt.png")))
            yield f"w2s {field}_{channel}", imagecodecs.imread(str(path)), truth
    from skimage import data as samples

    truth = samples.camera().astype(np.float64)
    rng = np.random.default_rng(0)
    noisy = 2 * rng.poisson(truth / 2) + rng.normal(0, 5, truth.shape) + 100
    yield "camera", noisy.round().clip(0).astype(np.uint16), truth


def middle(image: np.ndarray, side: int = 256) -> np.ndarray:
    y, x = ((n - side) // 2 for n in image.shape)
    return image[y : y + side, x : x + side]


def commit(checkout: Path) -> str:
    """The commit of a checkout."""
    return _git(checkout, "rev-parse", "--short", "HEAD")


def code(checkout: Path) -> str:
    """The tree of the package, with a + where files differ from it."""
    tree = _git(checkout, "rev-parse", "--short", "HEAD:src")
    return tree + "+" * bool(_git(checkout, "status", "--porcelain", "src"))


def _git(checkout: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", str(checkout), *words], text=True).strip()


def environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout.resolve() / "src")}


def measured(checkout: Path, noisy: np.ndarray, truth: np.ndarray, job: dict) -> dict[str, Any]:
    """PSNR, after the best affine map, and a hash of one result."""
    from unnoise.quality.metrics import scale_invariant_psnr

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "noisy.npy", Path(folder) / "clean.npy"
        np.save(source, noisy)
        words = [str(w) for w in (source, target, job["method"], job["steps"], job["seed"])]
        command = [sys.executable, "-c", WORK, *words]
        subprocess.run(command, env=environment(checkout), check=True, cwd=folder)
        clean = np.load(target)
    digest = hashlib.sha256(np.ascontiguousarray(clean)).hexdigest()[:12]
    return {"psnr": scale_invariant_psnr(clean, truth), "hash": digest}


def quality(base: Path, methods: list[str], *, whole: bool, save: Any) -> None:
    """Measure what is missing, both checkouts in turn."""
    for name, full, full_truth in images(whole=whole):
        noisy, truth = (a if whole else middle(a) for a in (full, full_truth))
        for method in methods:
            for seed in SEEDS:
                job = {"image": name, "method": method, "steps": STEPS[method], "seed": seed}
                for checkout in (base, HERE.parent):
                    save(
                        {"code": code(checkout), "whole": whole, **job},
                        lambda c=checkout, n=noisy, t=truth, j=job: measured(c, n, t, j),
                    )


def startup(base: Path, runs: int) -> list[dict[str, Any]]:
    """CPU seconds of commands, the two checkouts in turn, after one warm-up."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        import tifffile

        noisy = np.random.default_rng(0).poisson(50.0, (128, 128)).astype(np.uint16)
        tifffile.imwrite(Path(folder) / "noisy.tif", noisy)
        for what, words in COMMANDS.items():
            spent: list[list[float]] = [[], []]
            for _ in range(runs + 1):
                for times, checkout in zip(spent, (base, HERE.parent), strict=True):
                    times.append(_cpu([sys.executable, *words], checkout, folder))
            old, new = (float(np.median(times[1:])) for times in spent)
            rows.append({"what": what, "base_s": old, "now_s": new, "ratio": new / old})
            print(f"{what:26s} {old:.2f} s, now {new:.2f} s: {new / old:.2f} times", flush=True)
    return rows


def quick(row: dict[str, Any]) -> bool:
    """Whether a command is as fast as before; hundredths of a second are none that one sees."""
    return row["now_s"] <= max(LIMIT_RATIO * row["base_s"], row["base_s"] + 0.03)


def _cpu(command: list[str], checkout: Path, folder: str) -> float:
    """CPU seconds of a command and its children."""
    process = subprocess.Popen(
        command, env=environment(checkout), cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, use = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return use.ru_utime + use.ru_stime


def compared(rows: list[dict[str, Any]], old: str, new: str, whole: bool) -> list[dict[str, Any]]:
    """Mean differences in dB over seeds, by method and image, and by method."""
    known = {
        (r["code"], r["method"], r["image"], r["seed"]): r for r in rows if r["whole"] == whole
    }
    pairs: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for (at, method, image, seed), row in known.items():
        other = known.get((old, method, image, seed))
        if at == new and other is not None:
            found = (row["psnr"] - other["psnr"], row["hash"] == other["hash"])
            pairs.setdefault((method, image), []).append(found)
            pairs.setdefault((method, "mean"), []).append(found)
    return [
        {
            "method": method,
            "image": image,
            "difference_db": float(np.mean([d for d, _ in found])),
            "worst_db": min(d for d, _ in found),
            "identical": sum(same for _, same in found),
            "runs": len(found),
            "passed": float(np.mean([d for d, _ in found])) >= -LIMIT_DB,
        }
        for (method, image), found in sorted(pairs.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="the other checkout")
    known = [*STEPS, "startup"]
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    parser.add_argument("--whole", action="store_true", help="whole images, every channel")
    parser.add_argument("--runs", type=int, default=5, help="of every command of start-up")
    args = parser.parse_args()
    old, new = code(args.base), code(HERE.parent)
    at = {"base": commit(args.base), "now": commit(HERE.parent)}
    rows = [r for r in recorded("unchanged_runs") if r["code"] in (old, new)]
    keys = ("code", "whole", "image", "method", "steps", "seed")
    there = {tuple(r[k] for k in keys) for r in rows if not r["code"].endswith("+")}

    def save(job: dict[str, Any], measure: Any) -> None:
        if tuple(job[k] for k in keys) in there:
            return
        rows[:] = [r for r in rows if any(r[k] != job[k] for k in keys)]
        rows.append({**job, **measure(), **origin()})
        with alone("unchanged_runs"):
            record("unchanged_runs", at, rows)

    quality(args.base, [m for m in args.only if m in STEPS], whole=args.whole, save=save)
    found = compared(rows, old, new, args.whole)
    for row in found:
        verdict = "pass" if row["passed"] else "FAIL"
        print(
            f"{verdict}  {row['method']:10s} {row['image']:12s} {row['difference_db']:+.3f} dB "
            f"(worst {row['worst_db']:+.3f}; {row['identical']} of {row['runs']} identical)"
        )
    started = startup(args.base, args.runs) if "startup" in args.only else []
    with alone("unchanged"):
        before = {r["what"]: r for r in recorded("unchanged") if "what" in r}
        started = started or [r for r in before.values() if r["codes"] == [old, new]]
        started = [{**r, "codes": [old, new], "passed": quick(r)} for r in started]
        settings = {**at, "whole": args.whole, "seeds": SEEDS, "steps": STEPS}
        record("unchanged", settings, [*found, *started])
    failed = [r for r in [*found, *started] if not r["passed"]]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
