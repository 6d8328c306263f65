"""Rate of prediction from a compressed, tiled OME-TIFF into another, against the net alone.

    python benchmarks/overlap.py --methods n2v        # each below 4 minutes on two quiet cores
    python benchmarks/overlap.py --methods instant

The rows of other methods stay as they were recorded.

The file holds photons over a scene, in deflated tiles of 256 x 256 pixels with a pyramid. "Net
alone" is the same prediction of the same pixels as an array in memory, whose results go nowhere.
From file to file the pixels are decoded, searched for what is no measurement, denoised, written and
encoded, the pyramid too. Both run in turn, each in a process of its own, which also tells its peak
memory; times are wall times, so the machine must be quiet. A machine with few cores has less to
gain: decoding and encoding take theirs from the net, so CPU seconds are told as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from common import alone, origin, record, recorded

SIDES = {"n2v": 9216, "instant": 4608}
"""Pixels along a side, unless given. Images of up to 8192 are searched beforehand."""
WORK = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.predict import predict_files
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models import folder
from unnoise.models.predict import predict
way, model, path, out, tta = sys.argv[1:]
tta = tta == "yes"
warm = folder.load(model)
for _ in predict(warm, Image(np.zeros((256, 256), np.uint16), "YX"), tile=(128, 128), tta=tta):
    pass
if way == "alone":
    image = formats.open(path)
    image = Image(np.array(image.data[...]), image.axes)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in predict(warm, image, tta=tta):
        pass
else:
    wall, cpu = time.perf_counter(), time.process_time()
    image = InputOptions().check(formats.open(path))
    written = OutputOptions(out, tta=tta)
    with written.create(Path(out), image, image.dtype) as sink:
        from unnoise.models.overlap import Behind
        def write(block):
            sink.write(block.where, image.finished(block.values, block.where, sink.dtype))
        with Behind() as writer:
            for block in predict(warm, image, tta=tta):
                writer(write, block)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({
    "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mb": peak
}))
"""


def measured(way: str, *arguments: str) -> dict[str, float]:
    """Seconds and peak memory of one way, in a process of its own."""
    command = [sys.executable, "-c", WORK, way, *arguments]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(lines.splitlines()[-1])
    return found


def write_picture(path: Path, side: int) -> None:
    """Photons over blobs, tile by tile, with two smaller copies."""
    rng = np.random.default_rng(0)
    scene = 40 + 400 * ndimage.gaussian_filter(rng.random((1024, 1024)) ** 8, 3, mode="wrap")
    tiles = [
        rng.poisson(np.roll(scene, 97 * i, 1)[:256, :256]).astype(np.uint16) for i in range(64)
    ]
    form = {"tile": (256, 256), "compression": "zlib", "predictor": True, "dtype": np.uint16}
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as tif:
        for level in range(3):
            n = side >> level
            count = (-(-n // 256)) ** 2
            more = {"subifds": 2} if level == 0 else {"subfiletype": 1, "metadata": None}
            data = (tiles[i * 29 % 64] for i in range(count))
            tif.write(data, shape=(n, n), photometric="minisblack", **form, **more)


def rows_of(method: str, folder: Path, side: int, repeat: int) -> list[dict[str, object]]:
    """Both ways in turn, so many times."""
    path, out, small = (folder / f"{name}.tif" for name in ("noisy.ome", "clean.ome", "small"))
    write_picture(path, side)
    with tifffile.TiffFile(path) as tif:
        tifffile.imwrite(small, tif.pages.first.asarray()[:512, :512])
    model = str(folder / method)
    steps = ["--steps", "5"] if method == "n2v" else []
    train = [sys.executable, "-m", "unnoise", "train", str(small), "-o", model, "--method", method]
    subprocess.run([*train, *steps, "-q", "--no-report"], check=True)
    rows: list[dict[str, object]] = []
    shares: dict[str, list[float]] = {"wall_s": [], "cpu_s": []}
    for i in range(repeat):
        pair = {}
        for way in ("alone", "file"):
            out.unlink(missing_ok=True)
            found = pair[way] = measured(way, model, str(path), str(out), "no")
            own = {"method": method, "way": way, "run": i, "side": side}
            rows.append({**own, **found, **origin()})
            print(
                f"{method}, {way}: {side**2 / 1e6 / found['wall_s']:.2f} million pixels a second, "
                f"{found['cpu_s']:.1f} CPU s, peak {found['peak_mb']:.0f} MB",
                flush=True,
            )
        for name, values in shares.items():
            values.append(pair["alone"][name] / pair["file"][name])
    for name, values in shares.items():
        low, high, middle = min(values), max(values), np.median(values)
        print(f"{method}, {name}: {middle:.3f} of the net's rate ({low:.3f} to {high:.3f})")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, help="pixels; by default as the method takes minutes")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(SIDES))
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    for method in args.methods:
        side = args.side or SIDES.get(method, SIDES["n2v"])
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(method, Path(folder), side, args.repeat)
        if not args.no_record:
            with alone("overlap"):
                kept = [row for row in recorded("overlap") if row["method"] != method]
                record("overlap", vars(args), kept + rows)


if __name__ == "__main__":
    main()
