"""What the cases share: a folder with made files, commands run there once, and judged numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from skimage import data

import unnoise
from common import SHARED

CASES = SHARED / "cases"
PACKAGE = str(Path(unnoise.__file__).parents[1])
"""Commands run the package that is imported here, wherever they run."""
TIMEOUT_S = 900
INSTANT = ("--method", "instant")
N2V = ("--method", "n2v", "--steps", "300")


class CommandFailed(Exception):
    """A command that should have worked ended badly."""


@dataclass(frozen=True)
class Check:
    """One judged number: its part of issue 14, what it is, what came out, what is wanted."""

    part: str
    what: str
    value: str
    limit: str
    passed: bool


def check(part: str, what: str, limit: str, measure: Callable[[], tuple[str, bool]]) -> Check:
    """A judged measurement; one that cannot be made fails and says why."""
    try:
        value, passed = measure()
    except Exception as error:  # one broken case must not hide the others
        return Check(part, what, sentence(error), limit, False)
    return Check(part, what, value, limit, bool(passed))


def most(part: str, what: str, highest: float, unit: str, measure: Callable[[], float]) -> Check:
    """A number that must not be above `highest`."""

    def judged() -> tuple[str, bool]:
        value = float(measure())
        return f"{value:.3g} {unit}".strip(), value <= highest

    return check(part, what, f"at most {highest:g} {unit}".strip(), judged)


def least(part: str, what: str, lowest: float, unit: str, measure: Callable[[], float]) -> Check:
    """A number that must not be below `lowest`."""

    def judged() -> tuple[str, bool]:
        value = float(measure())
        return f"{value:.3g} {unit}".strip(), value >= lowest

    return check(part, what, f"at least {lowest:g} {unit}".strip(), judged)


def none(part: str, what: str, measure: Callable[[], Iterable[Any]]) -> Check:
    """A list that must be empty."""

    def judged() -> tuple[str, bool]:
        found = [str(v) for v in measure()]
        return ", ".join(found) or "none", not found

    return check(part, what, "none", judged)


def sentence(error: Exception) -> str:
    """The first line of an error, short enough for a table."""
    text = str(error).strip().splitlines()
    kind = "" if isinstance(error, CommandFailed) else f"{type(error).__name__}: "
    return (kind + (text[0] if text else ""))[:150]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    rc: int
    out: str
    err: str
    files: tuple[Path, ...]

    @property
    def text(self) -> str:
        """All that the terminal showed, on one line."""
        return " ".join(f"{self.out} {self.err}".split())

    @property
    def good(self) -> Outcome:
        """Itself, where the command worked.

        Raises
        ------
        CommandFailed
            With its exit status and its last words.
        """
        if self.rc:
            said = [s.strip(" │╭╰─╮╯") for s in (self.err or self.out).splitlines()]
            raise CommandFailed(f"exit {self.rc}: {([s for s in said if s] or ['nothing'])[-1]}")
        return self

    @cached_property
    def image(self) -> np.ndarray:
        """The pixels of its first result, float64."""
        return np.asarray(tifffile.imread(self.good.files[0]), np.float64)


@dataclass
class Work:
    """A folder with the files of one case; the same command runs once.

    Attributes
    ----------
    folder : Path
        What the script of the case wrote, and what is made beside it.
    quick : bool
        Whether networks are left out that are trained.
    """

    folder: Path
    quick: bool = False
    _runs: dict[tuple[str, ...], Outcome] = field(default_factory=dict)

    def make(self, name: str) -> None:
        """Run the script of a case in the folder."""
        command = [sys.executable, str(CASES / name / "make.py")]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise CommandFailed(f"make.py of {name}: {done.stderr.strip().splitlines()[-1]}")

    def roads(self, trained: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Options by name: the shipped network, and one that is trained unless all is quick."""
        name = "n2v" if "n2v" in trained else "auto"
        return {"instant": INSTANT} if self.quick else {"instant": INSTANT, name: trained}

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name

    def load(self, name: str) -> np.ndarray:
        """An array of the folder; pixels of a TIFF as they are."""
        path = self.path(name)
        return np.asarray(np.load(path) if path.suffix == ".npy" else tifffile.imread(path))

    def write(self, name: str, pixels: np.ndarray, **keywords: Any) -> str:
        """Another TIFF in the folder."""
        tifffile.imwrite(self.path(name), pixels, **keywords)
        return name

    def tell(self, *words: str) -> Outcome:
        """Run ``unnoise WORDS`` in the folder."""
        return self._run(words, None)

    def denoise(self, name: str, *options: str) -> Outcome:
        """``unnoise denoise NAME OPTIONS -o FILE``, without a report."""
        place = self.folder / "out" / f"{len(self._runs):03d}"
        return self._run(("denoise", name, "--no-report", *options), place / Path(name).name)

    def beside(self, names: Iterable[str], *options: str) -> Outcome:
        """``unnoise denoise`` on copies of files, alone in a folder, with results beside them."""
        place = self.folder / "out" / f"{len(self._runs):03d}"
        place.mkdir(parents=True)
        copies = [shutil.copy(self.path(name), place) for name in names]
        done = self._run(("denoise", *copies, "--no-report", *options), None)
        found = [p for p in sorted(place.rglob("*.tif")) if str(p) not in copies]
        return Outcome(done.rc, done.out, done.err, tuple(found))

    def inspect(self, name: str, *options: str) -> dict[str, Any]:
        """What ``unnoise inspect --json`` says."""
        values = json.loads(self.tell("inspect", name, "--json", *options).good.out)
        return dict(values)

    def level(self, name: str, *options: str) -> float:
        """The measured standard deviation of the noise."""
        sd = self.inspect(name, *options)["channels"][0]["noise_sd"]
        if sd is None:
            raise CommandFailed("no noise level was measured")
        return float(sd)

    def _run(self, words: tuple[str, ...], out: Path | None) -> Outcome:
        if words in self._runs:
            return self._runs[words]
        command = [sys.executable, "-m", "unnoise", *words]
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            command += ["-o", str(out)]
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "COLUMNS": "1000", "NO_COLOR": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                env=environment,
            )
            rc, stdout, stderr = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            rc, stdout, stderr = 124, "", f"not finished after {TIMEOUT_S} s"
        files = () if out is None else tuple(sorted(out.parent.rglob("*.tif")))
        self._runs[words] = Outcome(rc, stdout, stderr, files)
        return self._runs[words]


def middle(kind: str, n: int) -> np.ndarray:
    """The middle of a picture of scikit-image."""
    picture = np.asarray(getattr(data, kind)(), np.float64)
    y, x = (max((side - n) // 2, 0) for side in picture.shape)
    return picture[y : y + n, x : x + n]


def rms(error: np.ndarray, where: np.ndarray | None = None) -> float:
    """Root mean square of all pixels, or of some."""
    chosen = error if where is None else error[..., where]
    return float(np.sqrt(np.mean(np.square(chosen, dtype=np.float64))))


def loss(result: np.ndarray, other: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """How far a result is below another one in PSNR, over some pixels: dB."""
    return 20 * float(np.log10(rms((result - truth)[where]) / rms((other - truth)[where])))


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """PSNR with the robust range of the truth as its peak."""
    low, high = np.percentile(truth, (0.5, 99.5))
    return 20 * float(np.log10((high - low) / rms(image - truth)))


def off(measured: float, true: float) -> float:
    """By how many percent a number is wrong."""
    return 100 * abs(measured / true - 1)
