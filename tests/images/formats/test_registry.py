"""Other packages bring formats by entry points, and one that is broken does no harm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import registry
from unnoise.images.image import Image

TOY = '''
"""Axes and shape in a line of text, then the bytes of float32 pixels."""
import numpy as np
from unnoise.images.axes import check
from unnoise.images.formats.reader import Pixels, reading
from unnoise.images.image import Image

suffixes = (".toy", ".Toy.Raw")

def read(path, axes):
    with reading(path, "toy"):
        letters, *sizes = path.read_bytes().split(b"\\n")[0].split()
        shape = tuple(map(int, sizes))
    start = path.read_bytes().index(b"\\n") + 1
    load = lambda: np.memmap(path, "f4", "r", start, shape)
    letters = check(axes or letters.decode(), shape)
    return Image(Pixels(load, shape, np.dtype("f4")), letters, path=path)

def prepare(path, like, dtype):
    def layout(part):
        array = np.zeros(like.shape, dtype)
        head = " ".join([like.axes, *map(str, like.shape)]).encode() + b"\\n"
        return array, lambda: part.write_bytes(head + array.astype("f4").tobytes())
    return layout
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of one module, which is the format `toy` unless told otherwise."""
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(site))

    def call(code: str, module: str = "toy_format", target: str = "") -> None:
        info = site / f"{module}-0.1.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(
            f"[unnoise.formats]\n{module.removesuffix('_format')} = {target or module}\n"
        )
        registry._loaded.cache_clear()

    registry._loaded.cache_clear()
    yield call
    registry._loaded.cache_clear()
    for name in ("toy_format", "other_format"):
        sys.modules.pop(name, None)


def test_a_package_adds_a_format(install: Install, tmp_path: Path) -> None:
    install(TOY)
    pixels = np.random.default_rng(0).normal(size=(3, 20, 24)).astype(np.float32)
    path = tmp_path / "data" / "a.TOY"
    unnoise.save(path, pixels, axes="ZYX")
    assert path.read_bytes().startswith(b"ZYX 3 20 24\n")
    image = unnoise.open(path)
    assert (image.axes, image.shape, image.path) == ("ZYX", (3, 20, 24), path)
    np.testing.assert_array_equal(image.data[...], pixels)
    assert unnoise.open(path, axes="TYX").axes == "TYX"
    with formats.create(tmp_path / "data" / "b.toy", like=image) as out:
        for z in range(3):
            out.write({"Z": z}, image.read({"Z": z}))
    assert (tmp_path / "data" / "b.toy").read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match=r"a\.TOY exists; add --overwrite"):
        unnoise.save(path, pixels, axes="ZYX")
    path.write_bytes(b"?\n")
    with pytest.raises(InputError, match=r"axes '\?' contain"):
        unnoise.open(path)


def test_its_files_are_found_and_named_like_others(install: Install, tmp_path: Path) -> None:
    install(TOY)
    folder = tmp_path / "data"
    folder.mkdir()
    names = ["t1.toy", "t1_denoised.toy", "t2.toy.raw", "t2_denoised.toy.raw", "t3.tif", "t.raw"]
    for name in names:
        (folder / name).touch()
    assert [p.name for p in formats.find([folder])] == ["t1.toy", "t2.toy.raw", "t3.tif"]
    assert [p.name for p in formats.find([folder / "t*d.toy"])] == ["t1_denoised.toy"]
    assert formats.output_path(Path("x.1.toy.RAW")) == Path("x.1_denoised.toy.RAW")
    with pytest.raises(InputError, match=r"new\.toy names one file for several inputs"):
        formats.output_path(Path("x.toy"), "new.toy", several=True)
    with pytest.raises(
        InputError, match=r"t\.raw: the suffix '\.raw' .* \.npy, .*\.toy, \.toy\.raw"
    ):
        formats.open(folder / "t.raw")


def test_an_object_of_a_module_will_do(install: Install) -> None:
    made = "types.SimpleNamespace(suffixes=suffixes, read=read, prepare=prepare)"
    install(f"{TOY}\nimport types\ntoy = {made}\n", target="toy_format:toy")
    assert registry.format_of(Path("a.toy")) is sys.modules["toy_format"].toy


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of"),
        ("syntax error", "SyntaxError: "),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        (TOY.replace("def read", "def reads"), "TypeError: it lacks the function read"),
        (TOY.replace("def prepare", "def p"), "TypeError: it lacks the function prepare"),
        (TOY.replace("suffixes =", "ends ="), "TypeError: it lacks suffixes, a tuple like"),
        (TOY.replace('(".toy", ".Toy.Raw")', '".toy"'), "TypeError: it lacks suffixes"),
        (TOY.replace('(".toy", ".Toy.Raw")', '("toy",)'), "TypeError: it lacks suffixes"),
    ],
)
def test_a_broken_format_is_named_where_its_files_may_be_meant(
    install: Install, tmp_path: Path, code: str, reason: str
) -> None:
    install(code)
    install(TOY.replace(".toy", ".other"), "other_format")
    (tmp_path / "a.toy").write_bytes(b"?")
    named = "the format 'toy' of the package toy_format cannot be used"
    said = rf"use one of .*\.npy, .*\.other.*; {named} \({reason}"
    with pytest.raises(InputError, match=said) as caught:
        formats.open(tmp_path / "a.toy")
    assert str(caught.value).endswith("), update or uninstall it")
    with pytest.raises(InputError, match=f"holds no image files.*the format 'toy'.*{reason}"):
        formats.find([tmp_path])
    # All others work.
    formats.save(tmp_path / "a.npy", np.zeros((8, 8), np.float32))
    formats.save(tmp_path / "a.other", np.zeros((8, 8), np.float32))
    assert [p.name for p in formats.find([tmp_path])] == ["a.npy", "a.other"]


def test_other_packages_are_asked_for_unknown_suffixes_only(
    install: Install, tmp_path: Path
) -> None:
    install(TOY.replace('(".toy"', '(".tif", ".png", ".toy"'))
    for name in ("a.tif", "b.ome.tif", "c.v2.png"):
        (tmp_path / name).touch()
    assert registry.suffix_of("a.v1.TIFF") == ".tiff"
    formats.find([tmp_path])
    formats.save(tmp_path / "d.tif", np.zeros((8, 8), np.uint8))
    assert formats.output_path(Path("a.tif"), "results", several=True) == Path("results/a.tif")
    assert "toy_format" not in sys.modules
    assert registry.suffix_of("a.toy") == ".toy"
    assert "toy_format" in sys.modules
    for name in ("a.tif", "a.png"):  # nobody takes over what is built in
        assert registry.format_of(Path(name)) is not sys.modules["toy_format"]
    assert registry.known_suffixes().count(".tif,") == 1


def test_packages_are_asked_once(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(TOY)
    assert registry.suffix_of("a.toy") == ".toy"
    monkeypatch.setattr("importlib.metadata.entry_points", None)
    assert registry.suffix_of("a.toy.raw") == ".toy.raw"
    assert registry.suffix_of("a.nothing") == ""


@pytest.mark.parametrize("suffix", registry.FORMATS)
def test_what_is_built_in_offers_the_same(suffix: str) -> None:
    found = registry.format_of(Path(f"a{suffix}"))
    image = Image.from_array(
        np.zeros((8, 8), np.uint8 if suffix in (".jpg", ".jpeg") else np.uint16)
    )
    assert callable(found.read)
    if hasattr(found, "prepare"):
        assert callable(found.prepare(Path(f"a{suffix}"), image, image.dtype))
