"""Limits of control groups, from files laid out as the kernel's manual says."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.images.cgroup import Limits, limits


def system(root: Path, cgroup: str, **files: str) -> Path:
    """A file system whose control groups have these files; ``__`` stands for ``/``."""
    place = root / "proc" / "self" / "cgroup"
    place.parent.mkdir(parents=True)
    place.write_text(cgroup)
    for name, text in files.items():
        place = root / "sys" / "fs" / "cgroup" / name.replace("__", "/").replace("_D_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


def test_version_2_takes_the_least_of_a_group_and_those_around_it(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        "0::/user/job\n",
        user__job__memory_D_max="max\n",
        user__job__memory_D_current="5\n",
        user__memory_D_max="2000000000\n",
        user__memory_D_current="300\n",
        user__cpu_D_max="max 100000\n",
        user__job__cpu_D_max="150000 100000\n",
    )
    assert limits(root) == Limits(2_000_000_000, 300, 1.5)


def test_version_1_and_a_container_that_sees_its_mount_alone(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        "4:memory:/docker/0af\n1:cpu,cpuacct:/docker/0af\n0::/\n",
        memory__memory_D_limit_in_bytes="1000000000\n",
        memory__memory_D_usage_in_bytes="400\n",
        **{
            "cpu,cpuacct__cpu_D_cfs_quota_us": "50000",
            "cpu,cpuacct__cpu_D_cfs_period_us": "100000",
        },
    )
    assert limits(root) == Limits(1_000_000_000, 400, 0.5)


@pytest.mark.parametrize("text", ["", "nonsense", "4:memory", "0::/../..\n", "0::/a\n"])
def test_where_nothing_is_set_nothing_is_known(tmp_path: Path, text: str) -> None:
    huge = {"memory__memory_D_limit_in_bytes": str(2**63 - 4096), "cpu_D_max": "0 0"}
    assert limits(system(tmp_path, text, **huge)) == Limits()
    assert limits(tmp_path / "nowhere") == Limits()


@pytest.mark.parametrize(
    ("names", "stat"),
    [
        (("memory_D_max", "memory_D_current"), "anon 300\ninactive_file 600\n"),
        (
            ("memory__memory_D_limit_in_bytes", "memory__memory_D_usage_in_bytes"),
            "inactive_file 5\ntotal_inactive_file 600\n",
        ),
    ],
)
def test_files_that_the_system_keeps_are_no_memory_in_use(
    tmp_path: Path, names: tuple[str, str], stat: str
) -> None:
    folder = names[0].rpartition("memory_D_")[0]
    files = dict(zip(names, ("1000", "900"), strict=True)) | {f"{folder}memory_D_stat": stat}
    root = system(tmp_path, "4:memory:/\n0::/\n", **files)
    assert limits(root).used == 300
