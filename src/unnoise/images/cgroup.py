"""What a control group of Linux allows its processes: containers and batch systems set it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60
"""Version 1 writes no limit as a number of about 2^63."""


@dataclass(frozen=True)
class Limits:
    """What is allowed; None where nothing is set.

    Attributes
    ----------
    memory : int or None
        Bytes of all processes of the group.
    used : int or None
        Bytes that these take now, without files that the system keeps in memory while there is
        room.
    cores : float or None
        Processors that they may keep busy.
    """

    memory: int | None = None
    used: int | None = None
    cores: float | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The limits of the group that this process is in, and of those around it.

    Versions 1 and 2 are read (``cgroups(7)``, and *Control Group v2* of the kernel's manual). Where
    the group's own folder is not to be seen, as in a container, its mount is the group.

    Parameters
    ----------
    root : Path
        Of the file system.

    Examples
    --------
    >>> found = limits()
    >>> found.memory is None or found.memory > 0
    True
    """
    memory, used, cores = None, None, None
    for folder in _folders(root, "memory"):
        own = _first(folder / "memory.max", folder / "memory.limit_in_bytes")
        if own is not None and own < UNLIMITED and (memory is None or own < memory):
            memory = int(own)
            taken = _first(folder / "memory.current", folder / "memory.usage_in_bytes")
            used = None if taken is None else max(int(taken) - _cached(folder), 0)
    for folder in _folders(root, "cpu"):
        own = _share(folder)
        if own is not None and (cores is None or own < cores):
            cores = own
    return Limits(memory, used, cores)


def free_memory() -> int:
    """Bytes that this process may still take, of the machine and of its control group.

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    import psutil

    free, own = int(psutil.virtual_memory().available), limits()
    if own.memory is not None and own.used is not None:
        free = min(free, max(own.memory - own.used, 0))
    return free


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the group and of those around it, of both versions."""
    mounts = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except (OSError, UnicodeError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        places = (controller, controllers) if controllers else ("", "unified")
        for mount in (mounts / name for name in dict.fromkeys(places)):
            own = mount / path.lstrip("/")
            own = own if own.is_dir() and ".." not in own.parts else mount
            yield own
            yield from (folder for folder in own.parents if folder.is_relative_to(mount))


def _share(folder: Path) -> float | None:
    """Processors by quota and period."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        quota_us, period_us = (
            _first(folder / "cpu.cfs_quota_us"),
            _first(folder / "cpu.cfs_period_us"),
        )
    if quota_us is None or not period_us or quota_us < 0:
        return None
    return quota_us / period_us


def _cached(folder: Path) -> int:
    """Bytes of files that the system gives up first: after hours of reading they fill a group."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
        known = {name: int(value) for name, value in (line.split()[:2] for line in lines)}
    except (OSError, ValueError):
        return 0
    return known.get("total_inactive_file", known.get("inactive_file", 0))


def _first(*places: Path) -> float | None:
    """The number in the first file that has one."""
    for place in places:
        try:
            return float(int(place.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return None
