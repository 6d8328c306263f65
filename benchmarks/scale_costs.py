"""What 1 TB and 100 TB take on 1, 8 and 64 GPUs: a calculation, printed as a table.

    python benchmarks/scale_costs.py

From what `scale.py` measured on a CPU: the seconds of a core for the net, for all else that a piece
needs (reading, the search for pixels that are no measurement, rounding, compressing, writing), and
for the smaller copies at the end. GPUs, disks and prices are assumed; they stand in `ASSUMED`.
"""

from __future__ import annotations

from dataclasses import dataclass

from common import recorded

PIECE = 1024**2 * 2 / 1e9
"""Gigabytes of a piece of `scale.py --only sharing`, at 16 bit."""


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here.

    Attributes
    ----------
    cores_per_gpu : float
        Cores of the CPU that pass as many pixels through the net as a GPU. The default net in 2D
        takes 37 kFLOP a pixel, a core passes 2 Mpixel/s, and of the 40 TFLOPS of a card in 32 bits
        a third is used: 180 cores; less is assumed.
    processes : int
        That share a GPU (``--workers``), a core each.
    disk, network : float
        GB/s that a machine of 8 GPUs reads and writes, and that the storage gives to all.
    packed : float
        Bytes of a compressed result, as a share of its pixels.
    price : float
        Dollars for a GPU and its cores for an hour.
    """

    cores_per_gpu: float = 150
    processes: int = 8
    disk: float = 2.0
    network: float = 20.0
    packed: float = 0.5
    price: float = 2.5


ASSUMED = Assumed()


def measured() -> dict[str, float]:
    """Seconds of a core for a gigabyte."""
    rows = {str(row["what"]): row for row in recorded("scale")}
    net = rows["sharing: net alone"]["piece_cpu_s"] / PIECE
    whole = rows["sharing: one process"]["piece_cpu_s"] / PIECE
    finish = [row for row in recorded("scale") if row["what"] == "finish"]
    small, large = finish[0], finish[-1]
    per_gb = (large["cpu_s"] - small["cpu_s"]) / (large["gb"] - small["gb"])
    return {"net": net, "rest": max(whole - net, 0.0), "finish": per_gb}


def parts(gigabytes: float, gpus: int) -> dict[str, float]:
    """Hours of everything that goes on at the same time, and of the end, by name."""
    core, a = measured(), ASSUMED
    machines = -(-gpus // 8)
    bandwidth = min(machines * a.disk, a.network)
    return {
        "net": gigabytes * core["net"] / (gpus * a.cores_per_gpu) / 3600,
        "reading, search, compressing": gigabytes * core["rest"] / (gpus * a.processes) / 3600,
        "disk": gigabytes * (1 + a.packed) / bandwidth / 3600,
        "smaller copies": gigabytes * core["finish"] / 3600,
    }


def main() -> None:
    core = measured()
    print(", ".join(f"{name}: {value:.1f} s of a core a GB" for name, value in core.items()))
    print(ASSUMED)
    print("| data | GPUs | net | other work | disk | time | bottleneck | smaller copies | cost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for gigabytes in (1e3, 1e5):
        for gpus in (1, 8, 64):
            found = parts(gigabytes, gpus)
            copies = found.pop("smaller copies")
            slowest = max(found, key=lambda name: found[name])
            hours = found[slowest]
            cells = [f"{gigabytes / 1e3:g} TB", f"{gpus}", *map(_hours, found.values())]
            cells += [_hours(hours), slowest, _hours(copies)]
            print("| " + " | ".join([*cells, f"${hours * gpus * ASSUMED.price:,.0f}"]) + " |")


def _hours(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.0f} h"


if __name__ == "__main__":
    main()
