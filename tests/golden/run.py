"""Hashes of what every method makes of small synthetic images: the same before and after a move.

    python tests/golden/run.py                 # prints the hashes as JSON
    python tests/golden/run.py --only n2v auto  # some of them

Only the public calls and the command line are used, so that the script runs on any version. One
thread, 32 bits, budgets in steps: results then depend on the code and the processor alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"))

import numpy as np

FLOAT = ("training.precision=float32",)


def scene(shape: tuple[int, ...] = (72, 80)) -> np.ndarray:
    """A smooth scene with edges, between about 20 and 220."""
    grids = np.meshgrid(*[np.linspace(0, 6, n) for n in shape], indexing="ij")
    y, x = grids[-2:]
    depth = grids[0] if len(shape) == 3 else 0.0
    return 120 + 60 * np.sin(y + depth) * np.cos(1.3 * x) + 40 * (np.hypot(y - 3, x - 2) < 1.2)


def white(shape: tuple[int, ...] = (72, 80), sd: float = 12.0, seed: int = 1) -> np.ndarray:
    """The scene with white noise, float32."""
    noise = np.random.default_rng(seed).normal(0, sd, shape)
    return (scene(shape) + noise).astype(np.float32)


def photons(shape: tuple[int, ...] = (72, 80), seed: int = 2) -> np.ndarray:
    """The scene as photon counts, uint16."""
    return np.random.default_rng(seed).poisson(scene(shape) / 4).astype(np.uint16)


def ramp(seed: int = 6) -> np.ndarray:
    """Photon counts that rise from dark to bright."""
    light = np.tile(np.linspace(2, 80, 128), (128, 1)).T
    return (3 * np.random.default_rng(seed).poisson(light)).astype(np.uint16)


def rows(seed: int = 3) -> np.ndarray:
    """The scene with noise that is correlated along X."""
    noise = np.random.default_rng(seed).normal(0, 25, (96, 104))
    kernel = np.ones(3) / 3
    along = np.stack([np.convolve(line, kernel, "same") for line in noise])
    return (scene((96, 104)) + along).astype(np.float32)


def arrays(*found: Any) -> str:
    """Hash of arrays: shape, type and bytes."""
    digest = hashlib.sha256()
    for array in found:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape} {array.dtype.str};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def weights_of(model: Any) -> str:
    """Hash of the weights of a model."""
    items = sorted(model.weights.items())
    return arrays(*(tensor.detach().numpy() for _, tensor in items))


def numbers(value: Any) -> Iterable[float]:
    """Every number in a plain structure, whatever its place is called."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        return
    elif isinstance(value, int | float):
        yield float(value)


def configured(method: str, steps: int, *settings: str, preset: str = "fast") -> Any:
    import unnoise

    config = unnoise.Config.preset(preset, method)
    trained = () if method in CALIBRATED else (*FLOAT, f"training.steps={steps}")
    return config.set(*trained, *settings)


CALIBRATED = ("instant", "gaussian", "nlm", "tv", "wavelet")


def method(
    name: str, noisy: Any, steps: int = 12, *settings: str, axes: str | None = None, **more: Any
) -> Callable[[], dict[str, str]]:
    """Train and predict; the weights, the result and with symmetries averaged."""

    def run() -> dict[str, str]:
        import unnoise

        config = configured(name, steps, *settings)
        images = noisy() if callable(noisy) else noisy
        model = unnoise.train(images, axes=axes, config=config, device="cpu", **more)
        first = images[0] if isinstance(images, list) else images
        plain = model.predict(first, axes=axes, dtype=np.float64, device="cpu")
        averaged = model.predict(first, axes=axes, dtype=np.float64, device="cpu", tta=True)
        return {
            "weights": weights_of(model),
            "plain": arrays(plain),
            "averaged": arrays(averaged),
            "parts": f"posterior {model.posterior is not None}, mean {model.second is not None}",
        }

    return run


def uncertain() -> dict[str, str]:
    import unnoise

    config = configured("n2v", 12, "training.loss=gaussian")
    model = unnoise.train(white(), config=config, device="cpu")
    return {"values": arrays(*model.uncertainty(white(), device="cpu"))}


def saved() -> dict[str, str]:
    import unnoise

    config = configured("n2v", 40, "use_center_pixel=true")
    model = unnoise.train(photons((96, 96)), config=config, device="cpu")
    before = model.predict(photons((96, 96)), dtype=np.float64, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m")
        again = unnoise.load(f"{folder}/m")
        after = again.predict(photons((96, 96)), dtype=np.float64, device="cpu")
    return {"before": arrays(before), "after": arrays(after)}


def chosen(
    noisy: Callable[[], Any], *, axes: str | None = None, **more: Any
) -> Callable[[], dict[str, str]]:
    def run() -> dict[str, str]:
        import unnoise

        model = unnoise.train(noisy(), axes=axes, device="cpu", **more)
        result = model.predict(noisy(), axes=axes, dtype=np.float64, device="cpu")
        return {"method": str(model.config.method), "result": arrays(result)}

    return run


def inspected() -> dict[str, str]:
    import unnoise

    found = {}
    cases = {
        "white": white((128, 128)),
        "photons": photons((128, 128)),
        "rows": rows(),
        "movie": np.stack([photons((64, 72), seed=s) for s in range(4)]),
        "stack": white((18, 48, 48)),
    }
    for name, noisy in cases.items():
        axes = {"movie": "TYX", "stack": "ZYX"}.get(name)
        values = json.loads(unnoise.inspect(noisy, axes=axes).to_json())
        values["advice"].pop("seconds")
        text = " ".join(f"{v:.17g}" for v in sorted(numbers(values)))
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        found[f"{name} method"] = values["method"]
    return found


def command(*words: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "unnoise", *words], cwd=folder, check=True)


def commands() -> dict[str, str]:
    """Denoise, train, stop, go on, predict and calibrate from files to files."""
    import unnoise

    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unnoise.save(folder / "a.tif", photons())
        unnoise.save(folder / "b.tif", photons(seed=5))
        still = np.stack([photons((48, 56), seed=s) for s in range(6)])
        unnoise.save(folder / "frames.tif", still, axes="TYX")
        quiet = ("-q", "--no-report", "--device", "cpu")
        precise = ("--set", *FLOAT)
        run = partial(command, folder=folder)
        tail = ("--dtype", "float32", *quiet)
        long = ("--steps", "20", *precise, *tail)
        steps = ("--steps", "30", "--method", "n2v", *precise, *quiet)
        run("train", "a.tif", "b.tif", "-o", "m", *steps)
        run("predict", "m", "a.tif", "-o", "p.tif", *tail)
        run("denoise", "a.tif", "-o", "d.tif", *long)
        run("calibrate", "frames.tif", "-o", "camera.json", "-q")
        model = ("--noise-model", "camera.json")
        run("denoise", "b.tif", "-o", "c.tif", *model, *long)
        run("denoise", "b.tif", "-o", "r.tif", "--method", "r2r", *model, *long)
        for result in "pdcr":
            image = unnoise.open(folder / f"{result}.tif")
            found[result] = arrays(image.read())
        camera = json.loads((folder / "camera.json").read_text())
        text = " ".join(f"{v:.17g}" for v in sorted(numbers(camera)))
        found["camera"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def movie() -> np.ndarray:
    return np.stack([photons((64, 72), seed=s) for s in range(4)])


def color() -> np.ndarray:
    return np.stack([photons((64, 64), seed=s) for s in (7, 8, 9)], -1).astype(np.uint8)


def small_stack() -> np.ndarray:
    return white((18, 40, 40))


CASES: dict[str, Callable[[], dict[str, str]]] = {
    "n2v": method("n2v", white, 60, "use_center_pixel=true"),
    "n2v photons": method("n2v", photons, 40, "use_center_pixel=true"),
    "n2v color": method("n2v", color, axes="YXC"),
    "n2v joint": method("n2v", color, 8, "net.channels=joint", axes="YXC"),
    "n2v separate": method("n2v", color, 8, "net.channels=separate", axes="YXC"),
    "n2v 3d": method("n2v", small_stack, 6, "net.filters=8", axes="ZYX"),
    "n2v paper": method(
        "n2v", white, 6, "net.unshuffle=1", "net.batch_norm=true", "net.residual=true",
        "mask.percent=0.198", "mask.replacement=uniform_with_centre", "training.schedule=plateau",
        "training.optimizer=adam", "net.filters=8",
    ),
    "n2v normal": method("n2v", white, 6, "mask.replacement=normal_without_centre"),
    "n2v fitted": method("n2v", white, 6, "mask.replacement=normal_fitted", "mask.pattern=grid"),
    "n2v mean": method("n2v", white, 6, "mask.replacement=mean", "mask.percent=5"),
    "n2v dropout": method("n2v", white, 6, "net.dropout=0.2", "training.loss=mae"),
    "n2v sgd": method("n2v", white, 6, "training.optimizer=sgd", "training.learning_rate=0.01"),
    "n2v several": method("n2v", lambda: [photons(), photons((64, 96), seed=4)], 30),
    "n2v2": method("n2v2", white, 6, "net.filters=8"),
    "structn2v": method("structn2v", rows, 12, "mask.struct=horizontal:5", "use_center_pixel=true"),
    "n2n": method("n2n", lambda: [photons(seed=s) for s in (11, 12)], 12,
                  targets=[photons(seed=s) for s in (13, 14)]),
    "n2n axis": method("n2n", lambda: np.stack([photons(seed=s) for s in range(4)]), 12,
                       "pairs.axis=T", axes="TYX"),
    "care": method("care", photons, 12, targets=scene().astype(np.float32)),
    "b2u": method("b2u", white, 12),
    "r2r": method("r2r", white, 12),
    "r2r thinning": method("r2r", ramp, 12, "recorruption.kind=thinning"),
    "r2r rows": method("r2r", rows, 12),
    "instant": method("instant", lambda: white((96, 96))),
    "instant color": method("instant", color, axes="YXC"),
    "adapted": method("adapted", lambda: photons((96, 96)), 40),
    "adapted white": method("adapted", lambda: white((96, 96)), 30),
    "gaussian": method("gaussian", white),
    "nlm": method("nlm", white),
    "tv": method("tv", white),
    "wavelet": method("wavelet", white),
    "uncertainty": uncertain,
    "saved": saved,
    "auto white": chosen(lambda: white((96, 96)), steps=12),
    "auto rows": chosen(rows, steps=12),
    "auto instant": chosen(lambda: white((96, 100), 30.0), minutes=0.2),
    "auto movie": chosen(movie, axes="TYX", steps=12),
    "inspect": inspected,
    "commands": commands,
}  # fmt: skip


def processor() -> str:
    """What results may differ by: the processor, its vector units, and the libraries."""
    import torch

    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        wanted = ("model name", "cpu family", "model\t", "flags")
        model = "".join(next((x for x in lines if x.startswith(w)), "") for w in wanted)
    text = f"{platform.machine()} {model} {torch.backends.cpu.get_cpu_capability()}"
    libraries = f"{torch.__version__} {np.__version__}"
    return f"{hashlib.sha256(text.encode()).hexdigest()[:8]} torch {libraries}"


def collect(only: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """The hashes of all or some cases."""
    import torch

    torch.set_num_threads(1)
    names = list(only) or list(CASES)
    found = {}
    for name in names:
        found[name] = CASES[name]()
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    json.dump({processor(): collect(args.only)}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
