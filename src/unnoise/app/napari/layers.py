"""Images of unnoise as layers of napari, and layers as images: pixels stay where they are.

Nothing here imports napari: layers come and go as the tuples of npe2, or as objects whose
attributes are asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unnoise.app.napari.levels import levels_of
from unnoise.images import acquisition, arrays, formats
from unnoise.images import axes as ax
from unnoise.images.image import ArrayLike, Image

LayerData = tuple[Any, dict[str, Any], str]
"""Pixels, what `napari.layers.Image` is told of them, and the kind of the layer."""
KEY = "unnoise"
"""Under this name the metadata of a layer hold its `Source`."""
CHUNK = 2048
"""Pixels along Y and X that are read together: some tiles of any file."""
PERCENT = 0.1, 99.9
"""What is black and white at first: all but one pixel in a thousand at either end."""
LOOK = 512
"""Side of the piece of the middle plane that tells the contrast limits."""


@dataclass(frozen=True)
class Source:
    """Where the pixels of a layer come from.

    Attributes
    ----------
    image : Image
        The whole image.
    channel : int or None
        Which of its channels the layer shows; None for all of them.
    series : int or None
        Its number in a file that holds several.
    pixels : object
        What the layer was given.
    is_certain : bool
        Whether the axes are known, and not the first that would fit.
    """

    image: Image
    channel: int | None = None
    series: int | None = None
    pixels: Any = None
    is_certain: bool = True
    _name: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # An array of Dask that is painted on stays the same object, under another name.
        object.__setattr__(self, "_name", getattr(self.pixels, "name", None))

    def has(self, pixels: Any) -> bool:
        """Whether these are what the layer was given, as it was."""
        return self.pixels is pixels and self._name == getattr(pixels, "name", None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Source:
        return self  # open files cannot be copied; duplicates of a layer share them

    @property
    def axes(self) -> str:
        """Letters of the dimensions of the layer."""
        return self.image.axes if self.channel is None else self.image.axes.replace("C", "")


def guessed(image: Image, series: int | None = None) -> list[LayerData]:
    """An image whose axes are the first that would fit, as a layer that does not name them."""
    data = lazy(image.data)
    about = _about(image, image.axes) | {"contrast_limits": limits(image)}
    about["metadata"] = {KEY: Source(image, None, series, data, is_certain=False)}
    del about["axis_labels"]
    return [_in_levels(levels_of(image, image.axes, None, data), about)]


def layers_of(image: Image, series: int | None = None) -> list[LayerData]:
    """An image as layers: one, or one for each channel.

    Examples
    --------
    >>> image = Image.from_array(np.zeros((4, 2, 32, 48), np.uint16), axes="ZCYX")
    >>> [(data.shape, about["name"], kind) for data, about, kind in layers_of(image)]
    [((4, 32, 48), 'the image: 0', 'image'), ((4, 32, 48), 'the image: 1', 'image')]
    """
    if _is_labels(image):
        return [(lazy(image.data), _about(image, image.axes), "labels")]
    if "C" not in image.axes or _is_colour(image):
        axes = image.axes
        data = lazy(image.data)
        if _is_colour(image):
            at = axes.index("C")
            axes = axes.replace("C", "")
            data = data.transpose([*(i for i in range(data.ndim) if i != at), at])
        about = _about(image, axes) | {"metadata": {KEY: Source(image, None, series, data)}}
        about |= {"rgb": True} if _is_colour(image) else {"contrast_limits": limits(image)}
        shown = levels_of(image, axes + "C" if _is_colour(image) else axes, None, data)
        return [_in_levels(shown, about)]
    return [_channel(image, c, series) for c in range(image.sizes["C"])]


def _channel(image: Image, channel: int, series: int | None) -> LayerData:
    """One channel of an image as a layer."""
    at = image.axes.index("C")
    data = lazy(image.data)[(slice(None),) * at + (channel,)]
    names = image.channel_names or tuple(map(str, range(image.sizes["C"])))
    about = _about(image, image.axes.replace("C", "")) | {
        "name": f"{image.name}: {names[channel]}",
        "metadata": {KEY: Source(image, channel, series, data)},
        "contrast_limits": limits(image, channel),
        "blending": "additive",
    }
    colours = colors(image)
    if colours:
        about["colormap"] = colours[channel]
    return _in_levels(levels_of(image, image.axes.replace("C", ""), channel, data), about)


def _in_levels(levels: list[Any], about: dict[str, Any]) -> LayerData:
    """A layer of one level of resolution or of several."""
    if len(levels) == 1:
        return levels[0], about, "image"
    return levels, {**about, "multiscale": True}, "image"


def lazy(data: ArrayLike) -> Any:
    """Pixels as an array of Dask, which reads them piece by piece; arrays in memory as they are.

    Examples
    --------
    >>> lazy(np.zeros((3, 4)))
    array([[0., 0., 0., 0.], ...
    """
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return data
    if hasattr(data, "dask"):
        return data
    import dask.array as da

    shape = tuple(data.shape)
    chunks = [1] * max(len(shape) - 2, 0) + [min(n, CHUNK) for n in shape[-2:]]
    if len(shape) > 2 and shape[-1] <= 4:  # colours beside one another are read together
        chunks[-3:] = [min(shape[-3], CHUNK), min(shape[-2], CHUNK), shape[-1]]
    empty = np.empty((0,) * len(shape), data.dtype)
    return da.from_array(data, chunks=tuple(chunks), name=False, meta=empty, lock=True)


def limits(image: Image, channel: int = 0) -> tuple[float, float]:
    """What is black and white at first, told by the middle of the middle plane.

    Examples
    --------
    >>> [round(end) for end in limits(Image.from_array(np.arange(1001.0).reshape(7, 143)))]
    [1, 999]
    """
    where = {**image.middle(LOOK), "C": channel}
    pixels = image.original(where).astype(np.float64)
    pixels = pixels[np.isfinite(pixels) & (pixels != image.nodata)]
    low, high = np.percentile(pixels, PERCENT) if pixels.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + max(1.0, 1e-6 * abs(low)))


def colors(image: Image) -> tuple[str, ...]:
    """The colours of channels as ``#RRGGBB``, or nothing where none is known.

    Examples
    --------
    >>> colors(Image.from_array(np.zeros((2, 8, 8)), axes="CYX"))
    ()
    """
    known = image.acquisition.colors
    if len(known) != image.sizes["C"] or not any(known):
        return ()
    return tuple("#{:02X}{:02X}{:02X}".format(*acquisition.rgb(color)) for color in known)


def _about(image: Image, axes: str) -> dict[str, Any]:
    """What a layer is told of an image: its name, pixel size, units and axes."""
    return {
        "name": image.name,
        "scale": tuple(image.scale.get(letter) or 1.0 for letter in axes),
        "units": tuple(unit(image, letter) for letter in axes),
        "axis_labels": tuple(axes.lower()),
    }


def unit(image: Image, letter: str) -> str:
    """The unit of an axis as napari spells it; ``pixel`` where none is known.

    Examples
    --------
    >>> image = replace(Image.from_array(np.zeros((8, 8))), scale={"X": 0.1}, units={"X": "µm"})
    >>> unit(image, "X"), unit(image, "Y")
    ('micrometer', 'pixel')
    """
    spelled = image.units.get(letter, "").strip()
    if not spelled or letter not in image.scale:
        return "pixel"
    import pint

    try:
        return str(pint.get_application_registry().Unit(spelled))
    except Exception:  # what is no unit raises errors of many kinds
        return "pixel"


def _is_colour(image: Image) -> bool:
    """Whether napari can show the channels as the colours of a photograph."""
    return image.is_rgb and image.sizes["C"] in (3, 4) and image.dtype.kind in "ub"


def _is_labels(image: Image) -> bool:
    """Whether it is a mask or a label image, which has no noise."""
    return "unfit" in image.metadata or image.dtype.kind == "b"


def pixels_of(layer: Any) -> Any:
    """The pixels of a layer: of several levels of resolution the full one."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def axes_of(layer: Any) -> str:
    """The letters of the dimensions of a layer, as far as they are known.

    Raises
    ------
    AxesError
        If they are ambiguous; the message names the choices.
    """
    shape = tuple(pixels_of(layer).shape)
    source = layer.metadata.get(KEY)
    if isinstance(source, Source) and source.is_certain and len(source.axes) == len(shape):
        return _with_colours_last(source.axes) if layer.rgb else source.axes
    own = shape[:-1] if layer.rgb else shape
    names = tuple(str(name) for name in getattr(layer, "axis_labels", ()))
    found = arrays.letters(names, own) if len(names) == len(own) else None
    if found is None and layer.rgb and len(own) == 2:
        found = "YX"
    if found is None:
        found = ax.infer(own) if not layer.rgb else None
    if found is None:
        raise ax.ambiguous(shape, "?" * (len(own) - 2) + "YXC")
    return found + "C" * bool(layer.rgb)


def image_of(layer: Any, axes: str | None = None) -> Image:
    """A layer as an image, whose pixels are read when they are asked for.

    Parameters
    ----------
    layer : napari.layers.Image
        In memory, of Dask, Zarr or anything else; of several levels of resolution the full one.
    axes : str, optional
        Letters of its dimensions, by default those that it tells itself.

    Raises
    ------
    AxesError
        If they are ambiguous or do not fit.
    """
    data = pixels_of(layer)
    axes = ax.check(axes or axes_of(layer), tuple(data.shape))
    own = Image.from_array(data, axes)
    source = layer.metadata.get(KEY)
    letters = axes.replace("C", "") if layer.rgb else axes
    spelled = [str(one) for one in getattr(layer, "units", ())] or ["pixel"] * len(letters)
    told = {
        letter: (float(step), name)
        for letter, step, name in zip(letters, layer.scale, spelled, strict=True)
        if letter in "TZYX" and (name != "pixel" or step != 1)
    }
    known: dict[str, Any] = {
        "scale": {letter: step for letter, (step, _) in told.items()},
        "units": {letter: _short(name) for letter, (_, name) in told.items() if name != "pixel"},
        "is_rgb": bool(layer.rgb),
        "alpha": 3 if layer.rgb and own.sizes["C"] == 4 else None,
    }
    if isinstance(source, Source):
        known |= _carried(source, axes)
    elif "C" not in axes:
        known["acquisition"] = acquisition.Acquisition(colors=(colour_of(layer),))
    return replace(own, **known)


def colour_of(layer: Any) -> str:
    """The colour of a layer, ``RRGGBB``, whose colours go from black to it; else nothing."""
    known = layer.colormap
    ends = np.asarray(known["colors"] if isinstance(known, dict) else getattr(known, "colors", []))
    if len(ends) != 2 or ends[0, :3].any():
        return ""
    return acquisition.color(np.rint(ends[-1, :3] * 255))


def _carried(source: Source, axes: str) -> dict[str, Any]:
    """What the file of a layer tells beside its pixels, for the writer of the same format."""
    image, known = source.image, dict[str, Any]()
    if not source.is_certain and image.path is not None:
        image = formats.open(image.path, axes=axes, series=source.series)
    same = sorted(axes) == sorted(source.axes) or not source.is_certain
    taken = image.acquisition
    if source.channel is not None and taken.colors:
        taken = replace(taken, colors=taken.colors[source.channel : source.channel + 1])
    if source.channel is None and same:
        known |= {"metadata": image.metadata, "channel_names": image.channel_names}
    elif source.channel is not None and image.channel_names:
        known["channel_names"] = ()
    return known | {"path": image.path, "acquisition": taken, "nodata": image.nodata}


def joined(layers: Sequence[Any]) -> Image | None:
    """The image whose channels several layers show, all of them and in order; else None."""
    sources = [layer.metadata.get(KEY) for layer in layers]
    if not all(isinstance(source, Source) and source.channel is not None for source in sources):
        return None
    image: Image = sources[0].image
    same = all(source.image is image for source in sources)
    channels = [source.channel for source in sources]
    return image if same and channels == list(range(image.sizes["C"])) else None


def _with_colours_last(axes: str) -> str:
    return axes.replace("C", "") + "C"


def _short(name: str) -> str:
    """A unit as files spell it.

    Examples
    --------
    >>> _short("micrometer"), _short("parsec")
    ('µm', 'parsec')
    """
    short = {"micrometer": "µm", "micron": "µm", "nanometer": "nm", "millimeter": "mm"}
    short |= {"second": "s", "millisecond": "ms", "minute": "min", "hour": "h", "meter": "m"}
    return short.get(name, name)


def arranged(image: Image, axes: str) -> Any:
    """The pixels of an image in the order of other axes, read when they are asked for.

    Axes of length 1 may be missing on either side: not every format keeps them.

    Examples
    --------
    >>> arranged(Image.from_array(np.zeros((4, 32, 48)), axes="ZYX"), "TYXZ").shape
    (1, 32, 48, 4)
    """
    pixels = lazy(image.data)
    kept = "".join(letter for letter in axes if letter in image.axes)
    order = [image.axes.index(letter) for letter in kept]
    gone = [i for i in range(len(image.axes)) if i not in order]
    pixels = pixels.transpose(gone + order)[(0,) * len(gone)]
    return pixels[tuple(slice(None) if letter in kept else None for letter in axes)]


def of_layer(pixels: Any, axes: str, layer_axes: str, channel: int | None) -> Any:
    """The pixels of a layer, out of those of the image that it shows wholly or in part."""
    if channel is not None:
        return pixels[(slice(None),) * axes.index("C") + (channel,)]
    return pixels if axes == layer_axes else pixels.transpose([axes.index(a) for a in layer_axes])
