"""One trial: a job under one fault, and the laws that hold after it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.inject import INPUTS, WRITES, disturb
from faults.power import LOST, kept_at
from faults.scenarios import Scenario

TESTS = Path(__file__).resolve().parents[1]
CLOCK = re.compile(rb"(\"seconds\": |seconds: )[-+.\de]+")
"""What two runs of the same may have different."""


@dataclass(frozen=True)
class Answer:
    """What a command gave: its exit code, or below 0 the signal that ended it."""

    code: int
    out: str
    err: str
    seen: tuple[str, ...]


class Zygote:
    """A process that forks a child for every command, see `faults.zygote`."""

    def __init__(self, preload: Path | None = None) -> None:
        path = os.pathsep.join(map(str, (TESTS, TESTS.parent / "src")))
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": path, "LD_PRELOAD": str(preload or "")},
        )
        self._answer()
        self.tmp = tempfile.mkdtemp(prefix="faults-")

    def run(
        self,
        folder: Path,
        *arguments: str,
        fault: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Run ``unnoise ARGUMENTS`` in a folder."""
        return _answered(self._asked(folder, arguments, fault, values))

    def meet(
        self,
        folder: Path,
        *arguments: str,
        other: Sequence[str],
        at: int,
        then: str = "SIGCONT",
        values: Mapping[str, Any] | None = None,
    ) -> tuple[Answer, Answer | None]:
        """Run two commands, the second one while the first one is at one of its acts.

        Then the first one goes on, or gets another signal. The second one is None where the first
        one ended before that act.
        """
        fault = {"kind": "STOP", "at": at}
        told = self._asked(folder, arguments, fault, values, other=other, then=then)
        return _answered(told), told["other"] and _answered(told["other"])

    def _asked(
        self,
        folder: Path,
        arguments: Sequence[str],
        fault: Mapping[str, Any] | None,
        values: Mapping[str, Any] | None,
        **more: Any,
    ) -> dict[str, Any]:
        assert self._process.stdin is not None
        wanted = {
            "folder": str(folder),
            "tmp": self.tmp,
            "arguments": arguments,
            "fault": dict(fault or {}),
            "values": dict(values or {}),
            **more,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote ended with {self._process.wait()}")
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)


def _answered(told: Mapping[str, Any]) -> Answer:
    return Answer(told["code"], told["out"], told["err"], tuple(told["seen"].splitlines()))


def content(place: Path) -> dict[str, bytes]:
    """All bytes below a folder, or of a file; what clocks said is left out."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place] if place.exists() else []
    return {
        str(file.relative_to(place)): CLOCK.sub(rb"\1", file.read_bytes())
        for file in files
        if file.is_file()
    }


class Job:
    """A scenario that was prepared once, and run once without a fault.

    Attributes
    ----------
    reference : dict
        What lies in the folder after that run.
    acts, reads : tuple of str
        What it did to files; the same with what it read.
    """

    def __init__(self, scenario: Scenario, zygote: Zygote, place: Path) -> None:
        self.scenario, self.zygote, self.place = scenario, zygote, place
        self.before = place / "before"
        self.before.mkdir(parents=True)

        def run(folder: Path, *arguments: str, fault: Any = None) -> Answer:
            return zygote.run(folder, *arguments, fault=fault, values=scenario.values)

        scenario.prepare(self.before, run)
        self.inputs = content(self.before / "in")
        self.old = content(self.before)
        with self.copy() as folder:
            started = time.monotonic()
            answer = run(folder, *scenario.arguments, fault={"acts": [*WRITES, "read"]})
            self.seconds = time.monotonic() - started
            assert answer.code == 0, answer.err
            self.reference, self.reads = content(folder), answer.seen
        self.acts = tuple(act for act in self.reads if not act.startswith("read "))
        self.expected = self.known(self.reference)

    @contextlib.contextmanager
    def copy(self, room: int | None = None) -> Iterator[Path]:
        """What is there before, in a folder of its own, always of the same name.

        With `room` that is a disk with so many free bytes.
        """
        folder = self.place / "work"
        with contextlib.ExitStack() as stack:
            if room is None:
                shutil.copytree(self.before, folder)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            else:
                folder.mkdir()
                stack.callback(folder.rmdir)
                stack.enter_context(mounted(folder, 2**26))
                shutil.copytree(self.before, folder, dirs_exist_ok=True)
                used = shutil.disk_usage(folder).used
                resize(folder, max(used + room, 4096))
            yield folder

    def known(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Files without those that hold the time, and without the records of a queue."""
        loose = self.scenario.loose
        return {k: v for k, v in files.items() if not {k, k.partition("/")[0]} & {*loose}}

    def try_fault(
        self, *, room: int | None = None, share: float | None = None, **fault: Any
    ) -> None:
        """Run under a fault, look at what is left, and go on.

        With `room` the fault is a disk of so many free bytes, with `share` it comes after so much
        of the time that the job takes; else see `faults.inject.Fault`.

        Raises
        ------
        AssertionError
            If a law is broken.
        """
        if share is not None:
            fault["after"] = share * self.seconds
        if fault["kind"] == "REPLACED":
            self._replaced()
        for left in Path(self.zygote.tmp).glob("unnoise-*"):  # of a trial that was a loss
            shutil.rmtree(left)
        with self.copy(room) as folder:
            s = self.scenario
            given = {} if room is not None else fault
            answer = self.zygote.run(folder, *s.arguments, fault=given, values=s.values)
            if room is not None:
                resize(folder, 2**26)
            if fault["kind"] in INPUTS:
                self._disturbed(folder, answer, fault["kind"])
                return
            if fault["kind"] in LOST:
                self._after_power(folder, answer)
            self._after(folder, answer, "KILL" if fault["kind"] in LOST else fault["kind"])
            self.again(folder)

    def take_what_is_left(self, folder: Path) -> None:
        """The folder as it is when the power comes back."""
        shutil.rmtree(folder)
        kept_at(folder).rename(folder)

    def _after_power(self, folder: Path, answer: Answer) -> None:
        """What was not synced is gone; of a job that told of its end that is nothing."""
        self.take_what_is_left(folder)
        for result in self.scenario.results if answer.code == 0 else ():
            if result in self.scenario.loose:
                assert (folder / result).exists(), f"{result} is lost after the end"
            else:
                assert content(folder / result) == self._part(result), f"{result} is not safe"

    def _after(self, folder: Path, answer: Answer, kind: str) -> None:
        """What holds right after the fault."""
        assert content(folder / "in") == self.inputs, "inputs changed"
        if kind == "KILL":
            assert answer.code in (-9, 0), answer
        else:
            self._told(folder, answer)
        for result in self.scenario.results:
            self._is_whole(folder, result)

    def _told(self, folder: Path, answer: Answer) -> None:
        """A job that came to its end says how, in a sentence, and leaves nothing unnamed."""
        assert "Traceback" not in answer.err, answer.err
        assert answer.code in (0, 1, 2, 130), answer
        assert answer.code == 0 or answer.err.strip(), "no word about it"
        told = answer.err.strip().splitlines()
        if answer.code in (1, 2):
            assert told[-1].startswith("unnoise: "), answer.err
            assert "unexpected" not in told[-1], answer.err
        assert not self._strays(folder), self._strays(folder)
        self._rescued(folder, answer)

    def _disturbed(self, folder: Path, answer: Answer, kind: str) -> None:
        """What holds when the inputs were disturbed: nothing is made of the pixels of two files."""
        self._told(folder, answer)
        for result in self.scenario.results:
            found, before = content(folder / result), content(self.before / result)
            if result in self.scenario.loose or found in (before, self._part(result)):
                continue
            # Of a batch, images that were replaced before their turn are denoised as they are; with
            # the old images their results are to be made anew.
            if kind == "REPLACED" and found == content(self._replaced() / result):
                place = folder / result
                shutil.rmtree(place) if place.is_dir() else place.unlink()
                continue
            assert not (folder / result).is_file(), f"{result} is neither the old nor the new"
        shutil.rmtree(folder / "in")
        shutil.copytree(self.before / "in", folder / "in")
        self.again(folder)

    def _replaced(self) -> Path:
        """What the job makes if the inputs are others from the start."""
        kept = self.place / "replaced"
        if not kept.exists():
            with self.copy() as folder:
                disturb(folder / "in", "REPLACED")
                s = self.scenario
                answer = self.zygote.run(folder, *s.arguments, values=s.values)
                assert answer.code in (0, 2), answer.err  # of frames that no longer fit
                shutil.copytree(folder, kept)
        return kept

    def _rescued(self, folder: Path, answer: Answer) -> None:
        """What is kept elsewhere, or of a job that was stopped, is named; there is nothing else."""
        for kept in (*folder.glob("out*.model"), *folder.glob("out/*.model")):
            assert kept.name in answer.err, f"{kept.name} is not named: {answer.err[-400:]}"
            shutil.rmtree(kept)
        left = [kept.name for kept in Path(self.zygote.tmp).glob("unnoise-*")]
        for name in left:
            shutil.rmtree(Path(self.zygote.tmp, name))
        unnamed = [name for name in left if name not in answer.err]
        assert not unnamed, f"{unnamed} are left, but: {answer.err[-400:]}"

    def _is_whole(self, folder: Path, result: str) -> None:
        """A result is what it was, or what it is to be; or a model that can be used."""
        place = folder / result
        found = content(place)
        before, after = (content(p / result) for p in (self.before, folder.parent / "after"))
        after = self._part(result)
        if found in (before, after) or result in self.scenario.loose:
            return
        assert (place / "config.yaml").exists(), f"{result} is neither the old nor the new one"
        loaded = self.zygote.run(folder, "predict", result, "in/a.tif", "-o", "try.tif", "-q")
        assert loaded.code == 0, loaded.err
        (folder / "try.tif").unlink()
        for report in folder.glob("try*"):
            report.unlink()

    def _part(self, result: str) -> dict[str, bytes]:
        """A result as it is in the reference."""
        if result in self.reference:
            return {".": self.reference[result]}
        start = f"{result}/"
        return {k[len(start) :]: v for k, v in self.reference.items() if k.startswith(start)}

    def again(self, folder: Path) -> None:
        """The same command again ends as if nothing had been, and nothing else is left."""
        s = self.scenario
        arguments = s.again or s.arguments
        answer = self.zygote.run(folder, *arguments, values=s.values)
        if answer.code == 2 and "exists" in answer.err:
            resumable = s.arguments[0] == "train" and (folder / "m" / "resume.pt").exists()
            if resumable:
                arguments = ("train", "--resume", "m", "--no-report")
            else:
                arguments = (*arguments, "--overwrite")
            if resumable or self.known(content(folder)) != self.expected:
                answer = self.zygote.run(folder, *arguments, values=s.values)
            else:
                answer = Answer(0, "", "", ())
        elif answer.code == 2 and s.arguments[:2] == ("train", "--resume"):
            assert "no model folder" not in answer.err, answer.err
        assert answer.code == 0, answer.err
        found = self.known(content(folder))
        changed = [k for k in found.keys() | self.expected if found.get(k) != self.expected.get(k)]
        assert not changed, f"after going on, {changed} differ"
        for name in s.loose:
            assert (folder / name).exists(), f"{name} is missing"

    def _strays(self, folder: Path) -> list[str]:
        """Hidden files that are left, but for pieces that are kept to go on, and new files of a
        model that count already and could not be moved.
        """
        found = {str(p.relative_to(folder)) for p in folder.rglob(".*")}
        before = {str(p.relative_to(self.before)) for p in self.before.rglob(".*")}
        return sorted(n for n in found - before if not n.endswith((".unfinished", "/.pending")))


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """A disk of so many bytes in a folder (Linux, root)."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", folder],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def resize(folder: Path, size: int) -> None:
    """Give that disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
