"""Rate of prediction from a compressed, tiled OME-TIFF into another, against the net alone.

    python benchmarks/overlap.py

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

from common import record

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--side", type=int, default=9216, help="pixels; searched beforehand up to 8192"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["n2v", "instant"])
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "noisy.ome.tif", Path(folder) / "clean.ome.tif"
        small = Path(folder) / "small.tif"
        write_picture(path, args.side)
        with tifffile.TiffFile(path) as tif:
            tifffile.imwrite(small, tif.pages.first.asarray()[:512, :512])
        pixels = args.side**2 / 1e6
        for method in args.methods:
            model = str(Path(folder) / method)
            train = [sys.executable, "-m", "unnoise", "train", str(small), "-o", model]
            steps = ["--steps", "5"] if method == "n2v" else []
            subprocess.run([*train, "--method", method, *steps, "-q", "--no-report"], check=True)
            for i in range(args.repeat):
                for way in ("alone", "file"):
                    out.unlink(missing_ok=True)
                    found = measured(way, model, str(path), str(out), "no")
                    rows.append({"method": method, "way": way, "run": i, **found})
                    print(
                        f"{method}, {way}: {pixels / found['wall_s']:.2f} million pixels a second, "
                        f"{found['cpu_s']:.0f} CPU s, peak {found['peak_mb']:.0f} MB",
                        flush=True,
                    )
            pairs = [
                [r["wall_s"] for r in rows if (r["method"], r["way"]) == (method, way)]
                for way in ("alone", "file")
            ]
            shares = [a / b for a, b in zip(*pairs, strict=True)]
            low, high, share = min(shares), max(shares), np.median(shares)
            print(f"{method}: {share:.2f} of the net's rate ({low:.2f} to {high:.2f})")
    record("overlap", {"side": args.side, "repeat": args.repeat}, rows)


if __name__ == "__main__":
    main()
