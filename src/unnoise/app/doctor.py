"""Whether this installation works, and what it could do: for people, and for their bug reports."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.parsers import expat as pyexpat

from unnoise import __version__
from unnoise.app.amounts import amount
from unnoise.images.cgroup import free_memory, limits

EXTRAS = {
    "formats": "files of microscopes, medicine, astronomy and cameras",
    "formats-em": "DM3, DM4, EMD, SER (GPL-3)",
    "export": "--backend onnx",
    "dask": "--dask",
    "wavelet": "--method wavelet",
    "tensorboard": "--log tensorboard",
    "wandb": "--log wandb",
    "napari": "the plugin for napari",
    "app": "unnoise app, a page in the browser",
}
"""What optional packages are for."""
IMPORTED = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}
"""Packages whose modules are called otherwise."""
QT = ("PySide6", "PyQt6", "PyQt5", "PySide2")
LEAST_EXPAT = (2, 4, 1)
"""From which on entities that multiply are refused ("billion laughs")."""
LITTLE_MEMORY, LITTLE_DISK = 2e9, 1e9
"""Bytes below which large images are in danger."""


@dataclass(frozen=True)
class Problem:
    """Something that does not work, or not as well as it could.

    Attributes
    ----------
    text, remedy : str
    broken : bool
        Whether nothing can be denoised before it is mended.
    """

    text: str
    remedy: str
    broken: bool = False


def examine() -> dict[str, Any]:
    """All there is to say of the machine and the installation, as plain values.

    Returns
    -------
    dict
        ``system``, ``cores``, ``memory``, ``temp``, ``devices``, ``packages``, ``extras``,
        ``problems``, and ``healthy``: whether nothing is broken.
    """
    problems: list[Problem] = []
    facts: dict[str, Any] = {
        "system": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "unnoise": __version__,
            "place": str(Path(__file__).resolve().parents[1]),
        }
    }
    parts: dict[str, Callable[[list[Problem]], Any]] = {
        "packages": _packages,
        "extras": _extras,
        "cores": _cores,
        "memory": _memory,
        "temp": _temp,
        "devices": _devices,
        "weights": _weights,
    }
    for name, part in parts.items():
        try:
            facts[name] = part(problems)
        except Exception as error:  # a broken machine must not break its examination
            facts[name] = None
            text = f"{name} cannot be examined ({type(error).__name__}: {error})"
            problems.append(Problem(text, "report this"))
    facts["problems"] = [asdict(problem) for problem in problems]
    facts["healthy"] = not any(problem.broken for problem in problems)
    return facts


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """What was found, for people."""
    system, memory, cores = facts["system"], facts["memory"] or {}, facts["cores"] or {}
    yield f"unnoise {system['unnoise']} in {system['place']}"
    yield f"Python {system['python']} ({system['executable']}), {system['platform']}"
    rows = {
        "cores": f"{cores.get('usable', '?')} of {cores.get('all', '?')}, "
        f"{cores.get('threads', '?')} threads compute",
        "memory": f"{amount(memory.get('free', 0))} free of {amount(memory.get('total', 0))}",
        "devices": ", ".join(d["name"] for d in facts["devices"] or ()) or "none",
        "temporary files": "nowhere"
        if not facts["temp"]
        else f"{facts['temp']['folder']}, {amount(facts['temp']['free'])} free",
        "packages": ", ".join(
            f"{n} {v or 'MISSING'}" for n, v in (facts["packages"] or {}).items()
        ),
    }
    if memory.get("limit") is not None:
        rows["memory"] += f" (the control group allows {amount(memory['limit'])})"
    for name, text in rows.items():
        yield f"  {name:<16} {text}"
    yield "optional:"
    for name, extra in (facts["extras"] or {}).items():
        missing = [package for package, found in extra["packages"].items() if found is None]
        state = "installed" if not missing else f"pip install 'unnoise[{name}]'"
        if missing and len(missing) < len(extra["packages"]):
            state += f" brings what is missing: {', '.join(missing)}"
        yield f"  {name:<16} {extra['about']}: {state}"
    for problem in facts["problems"]:
        kind = "BROKEN" if problem["broken"] else "note"
        yield f"{kind}: {problem['text']}; {problem['remedy']}"
    yield "all is well" if facts["healthy"] else "unnoise cannot work before this is mended"


def _required() -> dict[str, dict[str, str]]:
    """The least version of every package, by extra; those of the core under no name."""
    found: dict[str, dict[str, str]] = {"": {}}
    for line in metadata.requires("unnoise") or ():
        parts = re.match(
            r"([\w.-]+)(?:\[[\w,]+\])?\s*(?:>=([\w.]+))?[^;]*(?:;.*extra == .(.+).)?", line
        )
        if parts and parts[1] != "unnoise":  # an extra that takes in another one
            found.setdefault(parts[3] or "", {})[parts[1]] = parts[2] or "0"
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_older(version: str, least: str) -> bool:
    """Whether a version is below another one, by its leading numbers."""
    own, other = (
        [int(n) for n in re.findall(r"\d+", v.split("+")[0])[:4]] for v in (version, least)
    )
    return own < other[: len(own)] if len(own) < len(other) else own < other


def _packages(problems: list[Problem]) -> dict[str, str | None]:
    """The versions of what is needed always, each imported to see whether it works."""
    found: dict[str, str | None] = {}
    again = "pip install --force-reinstall"
    parser = ".".join(map(str, pyexpat.version_info))
    if pyexpat.version_info < LEAST_EXPAT:
        text = f"the XML parser of this Python (expat {parser}) lets small files fill the memory"
        problems.append(Problem(text, "update Python, or expat, to 2.4.1 or newer"))
    for name, least in sorted(_required()[""].items()):
        found[name] = version = _installed(name)
        if version is None:
            problems.append(Problem(f"{name} is missing", f"pip install '{name}>={least}'", True))
            continue
        if _is_older(version, least):
            text = f"{name} {version} is older than {least}"
            problems.append(Problem(text, f"pip install '{name}>={least}'", True))
        try:
            importlib.import_module(IMPORTED.get(name, name.replace("-", "_")))
        except Exception as error:
            text = f"{name} {version} cannot be loaded ({type(error).__name__}: {error})"
            problems.append(Problem(text, f"{again} {name}", True))
    return found


def _extras(problems: list[Problem]) -> dict[str, Any]:
    """Which optional packages are there; what cannot work without more is a note."""
    required = _required()
    found: dict[str, dict[str, Any]] = {
        name: {
            "about": about,
            "packages": {package: _installed(package) for package in required[name]},
        }
        for name, about in EXTRAS.items()
        if name in required
    }
    for name, extra in found.items():
        for package, version in extra["packages"].items():
            least = required[name][package]
            if version is not None and _is_older(version, least):
                text = f"{package} {version} is older than {least}, for {extra['about']}"
                problems.append(Problem(text, f"pip install 'unnoise[{name}]'"))
    if _installed("napari") and not any(find_spec(binding) for binding in QT):
        text = "napari has no Qt to draw with"
        problems.append(Problem(text, "pip install 'PySide6-Essentials!=6.12.0'"))
    return found


def _cores(problems: list[Problem]) -> dict[str, Any]:
    """How many processors there are, may be used, and are."""
    import torch

    every = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else every
    allowed, threads = limits().cores, torch.get_num_threads()
    if allowed is not None and threads > max(allowed, 1):
        text = f"{threads} threads share the {allowed:g} processors that the control group allows"
        problems.append(Problem(text, f"set OMP_NUM_THREADS={max(int(allowed), 1)}"))
    elif threads < usable and "OMP_NUM_THREADS" in os.environ:
        text = f"{threads} of {usable} processors compute, as OMP_NUM_THREADS says"
        problems.append(Problem(text, "unset it to use all"))
    return {"all": every, "usable": usable, "allowed": allowed, "threads": threads}


def _memory(problems: list[Problem]) -> dict[str, int | None]:
    """Bytes in all, free, and allowed."""
    import psutil

    memory, own, free = psutil.virtual_memory(), limits(), free_memory()
    if min(free, own.memory or free) < LITTLE_MEMORY:
        text = f"{amount(free)} of memory is free"
        problems.append(Problem(text, "close other programs before large images"))
    return {"total": int(memory.total), "free": free, "limit": own.memory}


def _temp(problems: list[Problem]) -> dict[str, Any] | None:
    """The folder of temporary files, where uploads and copies of remote files go."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        text = f"temporary files cannot be written ({error.strerror or error})"
        problems.append(Problem(text, "free some space, or set TMPDIR to another folder", True))
        return None
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK:
        text = f"{amount(free)} is free for temporary files in {folder}"
        problems.append(Problem(text, "free some space, or set TMPDIR to another folder"))
    return {"folder": folder, "free": free}


def _devices(problems: list[Problem]) -> list[dict[str, Any]]:
    """What computes: each device multiplies two matrices to show that it works."""
    import torch

    from unnoise.nets.device import has_bfloat16, training_dtype

    found = [{"device": "cpu", "name": f"cpu ({_processor()})", "bfloat16": has_bfloat16()}]
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device, own = torch.device("cuda", i), torch.cuda.get_device_properties(i)
        text = f"cuda:{i} ({own.name}, {amount(own.total_memory)})"
        fast = training_dtype(device) == torch.bfloat16
        found.append({"device": f"cuda:{i}", "name": text, "bfloat16": fast})
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "mps (Apple)", "bfloat16": False})
    for one in list(found):
        try:
            ones = torch.ones(8, 8, device=str(one["device"]))
            right = float((ones @ ones).sum()) == 512
        except Exception as error:
            right, why = False, f" ({error})"
        else:
            why = ""
        if not right:
            text, cpu = f"{one['name']} does not compute{why}", one["device"] == "cpu"
            remedy = "pip install --force-reinstall torch" if cpu else "use --device cpu"
            problems.append(Problem(text, remedy, cpu))
    if len(found) == 1 and Path("/proc/driver/nvidia/version").exists():
        text = "there is a GPU of NVIDIA that PyTorch does not see"
        problems.append(Problem(text, "install a PyTorch for its driver, see pytorch.org"))
    return found


def _processor() -> str:
    """What the processor is called."""
    try:
        names = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        names = None
    return names[1] if names else platform.processor() or platform.machine()


def _weights(problems: list[Problem]) -> bool:
    """Whether the shipped weights are there and whole."""
    from unnoise.nets.pretrained import gaussian

    try:
        gaussian()
    except Exception as error:
        text = f"the shipped weights cannot be read ({type(error).__name__}: {error})"
        problems.append(Problem(text, "install unnoise again", True))
        return False
    return True
