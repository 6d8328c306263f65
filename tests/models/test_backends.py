"""Laws of the backends: all compute what PyTorch computes, and say how nearly."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models import backends
from unnoise.models.build import ready
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.training.plan import plan

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in backends.PACKAGES),
    reason="needs unnoise[export]",
)
GAIN = 100.0
"""Standard deviation of the images: differences are judged in its units."""

NETS: dict[str, dict[str, Any]] = {
    "plain": {"unshuffle": 1, "batch_norm": True, "residual": True},
    "joint n2v2": {"unshuffle": 1, "pool": "blur", "top_skip": False, "channels": "joint"},
    "separate": {"channels": "separate"},
}


def untrained(axes: str, shape: tuple[int, ...], **settings: Any) -> tuple[Model, np.ndarray]:
    """A model with random weights, its head as loud as the image, and an image."""
    x = np.random.default_rng(0).normal(3000, GAIN, shape).astype(np.float32)
    config = Config().replace(training={"steps": 1, "loss": settings.pop("loss", "mse")})
    config = config.replace(net={"filters": 4, "depth": 1, **settings}, ndim=2 + ("Z" in axes))
    model = plan([Image.from_array(x, axes=axes)], config)
    weights = {k: v * 10 if "head.weight" in k else v for k, v in model.weights.items()}
    return model.with_weights(weights), x


@needs_onnx
@pytest.mark.parametrize("name", sorted(NETS))
def test_onnx_computes_what_torch_computes(name: str) -> None:
    axes, shape = ("CYX", (2, 53, 70)) if name != "plain" else ("YX", (53, 70))
    model, x = untrained(axes, shape, **NETS[name])
    slow = predict_array(model, x, axes=axes, tta=True)
    fast = predict_array(model, x, axes=axes, tta=True, backend="onnx")
    assert np.ptp(slow) > GAIN / 10, "a constant would prove nothing"
    np.testing.assert_allclose(fast, slow, atol=1e-4 * GAIN, rtol=0)


@needs_onnx
def test_onnx_predicts_stacks_and_spreads_in_any_tiles() -> None:
    model, x = untrained("ZYX", (20, 40, 44), loss="gaussian")
    image = Image.from_array(x, axes="ZYX")

    def whole(backend: str, tile: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        values, std = np.empty(x.shape), np.empty(x.shape)
        for block in predict(model, image, tile=tile, backend=backend):
            at = tuple(block.where[k] for k in "ZYX")
            assert block.std is not None
            values[at], std[at] = block.values[0, 0, 0], block.std[0, 0, 0]
        return values, std

    expected = whole("torch", x.shape)
    for tile in (x.shape, (8, 16, 24)):
        for fast, slow in zip(whole("onnx", tile), expected, strict=True):
            np.testing.assert_allclose(fast, slow, atol=1e-4 * GAIN, rtol=0)


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every CPU computes with bfloat16, fast or slowly."""
    monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda: True)


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("name", sorted(NETS))
def test_bfloat16_is_near_in_any_tiles(name: str) -> None:
    axes, shape = ("CYX", (2, 53, 70)) if name != "plain" else ("YX", (53, 70))
    model, x = untrained(axes, shape, **NETS[name])
    image = Image.from_array(x, axes=axes)

    def whole(backend: str, tile: tuple[int, ...] | None = None) -> np.ndarray:
        values = np.empty(x.shape)
        for block in predict(model, image, tile=tile, backend=backend):
            at = (..., block.where["Y"], block.where["X"])
            values[at] = block.values[0, :, 0] if "C" in axes else block.values[0, 0, 0]
        return values

    slow, fast = whole("torch"), whole("bfloat16")
    # These weights are random and loud; of trained nets it is 0.1 % (docs/performance.md).
    assert 0 < np.sqrt(np.mean((fast - slow) ** 2)) < 0.015 * GAIN
    np.testing.assert_allclose(whole("bfloat16", (32, 32)), fast, atol=2e-3 * GAIN, rtol=0)


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("name", sorted(set(NETS) - {"plain"}))  # a residual net adds its input
def test_results_in_bfloat16_are_not_on_its_steps(name: str) -> None:
    """A float32 that was a bfloat16 has 16 zeros at its end."""
    model, x = untrained("YX", (64, 64), **NETS[name])
    net = ready(model, torch.device("cpu"))
    y = backends.forward(model, net, "bfloat16")(torch.from_numpy((x[None, None] - 3000) / GAIN))
    assert (y.detach().numpy().view(np.uint32) & 0xFFFF != 0).mean() > 0.9


def test_bfloat16_is_refused_where_it_would_be_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda: False)
    with pytest.raises(InputError, match=r"bfloat16 would be slower here.*leave out --backend"):
        backends.check("bfloat16", "cpu")


@pytest.mark.usefixtures("with_bfloat16")
def test_bfloat16_is_refused_for_a_filter() -> None:
    x = np.random.default_rng(0).normal(size=(40, 40))
    model = plan([Image.from_array(x)], Config.preset(method="gaussian"))
    with pytest.raises(InputError, match=r"gaussian is a filter"):
        predict_array(model, x, backend="bfloat16", device="cpu")
    net, _ = untrained("YX", (40, 40))
    backends.check_model(net, "bfloat16")


@functools.cache
def exported() -> bytes:
    """The file of a net, which takes 3 s to make."""
    return backends.exported(untrained("YX", (40, 40))[0])


@needs_onnx
def test_the_session_is_made_once_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = untrained("YX", (40, 40))
    other, _ = untrained("YX", (40, 40), filters=6)
    made = []
    file = exported()
    monkeypatch.setattr(backends, "exported", lambda m: (made.append(m), file)[1])
    first = predict_array(model, x, backend="onnx")
    np.testing.assert_array_equal(predict_array(model, x, backend="onnx"), first)
    assert len(made) == 1
    predict_array(other, x, backend="onnx")
    assert len(made) == 2


@needs_onnx
def test_the_file_is_a_valid_graph_with_free_sizes() -> None:
    import onnx

    graph = onnx.load_from_string(exported())
    onnx.checker.check_model(graph)
    (x,), (y,) = graph.graph.input, graph.graph.output
    assert (x.name, y.name) == ("x", "y")
    sizes = [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
    assert sizes[1] == 1
    assert all(isinstance(sizes[i], str) for i in (0, 2, 3)), sizes
    assert {node.op_type for node in graph.graph.node} & {"Conv"}
    assert "ConvTranspose" not in {node.op_type for node in graph.graph.node}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnxruntime; pip install 'unnoise\[export\]'"):
        backends.check("onnx")
    backends.check("torch", "cuda")


def test_an_unknown_backend_and_another_device_are_refused() -> None:
    with pytest.raises(InputError, match="'tpu'; choose one of torch, bfloat16, onnx"):
        backends.check("tpu")
    model, x = untrained("YX", (40, 40))
    with pytest.raises(InputError, match="'tpu'"):
        predict_array(model, x, backend="tpu")


@needs_onnx
def test_onnx_is_for_the_cpu() -> None:
    with pytest.raises(InputError, match="on the CPU, not on cuda"):
        backends.check("onnx", "cuda")


@needs_onnx
def test_a_filter_cannot_be_exported() -> None:
    x = np.random.default_rng(0).normal(size=(40, 40))
    model = plan([Image.from_array(x)], Config.preset(method="gaussian"))
    with pytest.raises(InputError, match=r"gaussian cannot be exported .*use --backend torch"):
        backends.check_model(model, "onnx")


@needs_onnx
def test_a_net_that_the_exporter_refuses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = untrained("YX", (40, 40))

    def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("no such operator\nand a page of details")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(InputError, match=r"n2v cannot be exported to ONNX \(no such operator\)"):
        backends.exported(model)


@needs_onnx
def test_tiles_are_halved_where_onnx_runtime_has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    class Full:
        """A session that fails for all but small tiles, as a true one does in little memory."""

        def __init__(self, *args: object, **options: object) -> None:
            pass

        def run(self, names: object, given: dict[str, np.ndarray]) -> list[np.ndarray]:
            if given["x"].size > limit[0]:
                raise failure[0]
            return [given["x"]]

    fail = onnxruntime.capi.onnxruntime_pybind11_state.Fail
    limit = [np.inf]
    failure = [fail("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested")]
    model, x = untrained("YX", (96, 80))
    monkeypatch.setattr(backends, "exported", lambda _: b"")
    monkeypatch.setattr(onnxruntime, "InferenceSession", Full)
    monkeypatch.setattr(backends, "_exported", [])
    expected = predict_array(model, x, backend="onnx")
    limit[0] = 0.9 * x.size
    with pytest.warns(UserWarning, match="not enough memory for a tile"):
        np.testing.assert_array_equal(predict_array(model, x, backend="onnx"), expected)
    failure[0] = fail("no such operator")
    with pytest.raises(fail, match="no such operator"):
        predict_array(model, x, backend="onnx")
