"""What computes a prediction: PyTorch, in 32 or 16 bits, or ONNX Runtime with the exported net."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.errors import InputError, expect, first_line
from unnoise.images.quiet import quiet, unlogged
from unnoise.models.build import DenoisingNet, ready
from unnoise.models.model import Model, asks_nlridge
from unnoise.models.short_of_memory import is_out_of_memory
from unnoise.nets.device import autocast, select_device, training_dtype
from unnoise.nets.per_channel import PerChannel
from unnoise.nets.unet import UNet

BACKENDS = ("torch", "bfloat16", "onnx")
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What ``onnx`` needs: the first two write the net, the third runs it."""

Forward = Callable[[Tensor], Tensor]
"""From normalised patches (b, c, *space) to what the net makes of them."""


def check(backend: str, device: str = "auto") -> None:
    """Refuse a backend that is unknown, not installed or not for the device.

    Raises
    ------
    InputError
        With what to do.

    Examples
    --------
    >>> check("torch")
    >>> check("fpga")
    Traceback (most recent call last):
    unnoise.errors.InputError: unknown backend 'fpga'; choose one of torch, bfloat16, onnx
    """
    expect("backend", backend, str, f"one of {', '.join(BACKENDS)}")
    if backend not in BACKENDS:
        raise InputError(f"unknown backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    if backend == "bfloat16" and training_dtype(select_device(device)) != torch.bfloat16:
        raise InputError(
            "bfloat16 would be slower here: it needs a processor that computes with it (AVX-512 "
            "BF16, AMX, or a CUDA card of 2020 or later) and a recent PyTorch; leave out --backend"
        )
    if backend != "onnx":
        return
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"the backend onnx needs {', '.join(missing)}; pip install 'unnoise[export]', or leave "
            f"out --backend"
        )
    if device not in ("auto", "cpu"):
        raise InputError(
            f"the backend onnx computes on the CPU, not on {device}; leave out --device or "
            f"--backend"
        )


def check_model(model: Model, backend: str) -> None:
    """Refuse a model whose net the backend cannot run, without the seconds that an export takes.

    Raises
    ------
    InputError
        For a filter, and with ``onnx`` for anything but a U-Net, or for one that is still to be
        trained and may get another method beside it.
    """
    if backend == "bfloat16" and not _speeds_up(model):
        raise InputError(
            f"{model.config.method} is a filter, which bfloat16 does not speed up; leave out "
            f"--backend"
        )
    if backend == "onnx" and any(m.config.net is None for m, _ in model.members):
        raise InputError(_refusal(model, "it is no U-Net"))
    if backend == "onnx" and asks_nlridge(model) and model.record is None:  # not trained yet
        raise InputError(
            f"nlridge, which has a part in results of {model.config.method} where noise is "
            f"correlated, cannot be exported to ONNX; use --backend torch, or leave it out with "
            f"--set recorruption.nlridge=false"
        )


def _speeds_up(model: Model) -> bool:
    """Whether it is a net, to which 16-bit maps make a difference."""
    return model.config.net is not None or model.config.is_shipped


def _refusal(model: Model, why: str) -> str:
    return (
        f"the net of the method {model.config.method} cannot be exported to ONNX ({why}); use "
        f"--backend torch"
    )


def forward(model: Model, net: DenoisingNet | Forward, backend: str) -> Forward:
    """The net as the backend runs it.

    Parameters
    ----------
    model : Model
        What the net was built from.
    net : DenoisingNet or callable
        The net for PyTorch, or what takes its place.
    backend : str
        ``torch``, ``bfloat16`` or ``onnx``.

    Raises
    ------
    InputError
        If the net cannot be exported.
    """
    if backend == "onnx":
        check_model(model, backend)
        return _session(model)
    if backend == "torch" or not _speeds_up(model):
        return net

    def half(x: Tensor) -> Tensor:
        """Convolutions take 16-bit maps; what comes in and out has 32 bits."""
        with autocast(x.device, torch.bfloat16):
            y: Tensor = net(x)
        return y.float()

    return half


_exporting = threading.Lock()
_exported: list[tuple[Model, int, Forward]] = []
"""The latest model and how many threads run it: exporting takes 4 s, and all files of a job are
predicted with one model."""


def _session(model: Model) -> Forward:
    """An exported net in ONNX Runtime, made anew only for another model."""
    with _exporting:  # the exporter and its warnings know one thread only
        return _session_of(model, torch.get_num_threads())


def _session_of(model: Model, threads: int) -> Forward:
    """It, for so many threads."""
    for known, n, session in _exported:
        # Copies of a model that differ in other things share weights.
        if known.weights is model.weights and known.config == model.config and n == threads:
            return session
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As for PyTorch: threads that wait must sleep, or another program on the core stops them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    made: Any = onnxruntime.InferenceSession(exported(model), options, providers=providers)

    def run(x: Tensor) -> Tensor:
        try:
            (y,) = made.run(None, {"x": np.ascontiguousarray(x.numpy())})
        except Exception as error:  # it has a class of its own for every kind, none of them known
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise
        return torch.from_numpy(y)

    _exported[:] = [(model, threads, run)]
    return run


def exported(model: Model) -> bytes:
    """The net of a model as an ONNX file: input ``x`` and output ``y``, in normalised units.

    Batch and space are free, as long as the space is a multiple of the net's grid.

    Raises
    ------
    InputError
        If the net cannot be exported.
    """
    net = ready(model, torch.device("cpu"))
    for part in net.modules():
        if isinstance(part, UNet):
            part.joined = False  # ONNX Runtime is slow at transposed convolutions
    channels = net.inputs if isinstance(net, UNet | PerChannel) else len(model.channels)
    # Sizes of their own, so that no two are taken for one.
    space = [period * (8 + 2 * axis) for axis, period in enumerate(net.grid)]
    free = dict.fromkeys((0, *range(2, 2 + len(space))), torch.export.Dim.DYNAMIC)
    example = torch.zeros(2, channels, *space)
    try:
        # It warns of packages that no denoiser needs, and of changes inside PyTorch.
        with quiet(), unlogged("torch.onnx"), torch.no_grad():
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=["x"],
                output_names=["y"],
                verbose=False,
            )
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
    except Exception as error:  # the exporter raises whatever it stumbles over
        why = first_line(error)
        raise InputError(_refusal(model, why)) from error
