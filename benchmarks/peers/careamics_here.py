"""CAREamics beside a CPU build of torch, and its settings; imported by the scripts beside it.

torchvision comes from the package index for CUDA only and cannot be loaded beside a CPU build of
torch. CAREamics imports it for its variational nets, which are not used here, so an empty module
takes its place, after the libraries that would use it have looked and found none.
"""

from __future__ import annotations

import os
import resource
import sys
import types
import warnings
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
warnings.filterwarnings("ignore")

import lightning  # noqa: E402, F401
import torch  # noqa: E402
import torchmetrics  # noqa: E402, F401

for _name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[_name] = types.ModuleType(_name)
sys.modules["torchvision"].__version__ = "0"  # type: ignore[attr-defined]
_functional = sys.modules["torchvision.transforms.functional"]
sys.modules["torchvision.transforms"].functional = _functional  # type: ignore[attr-defined]

from careamics.config.factories import create_advanced_n2v_config  # noqa: E402

torch.set_num_threads(1)
FOREVER = 10**7
RATE = 1e-3
"""CAREamics' own learning rate, that of torch."""


def cpu() -> float:
    """CPU seconds of this process so far."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def configuration(
    *,
    n2v2: bool = False,
    percent: float = 0.2,
    residual: bool = False,
    batch: int = 16,
    patch: tuple[int, ...] = (64, 64),
    model: dict[str, Any] | None = None,
    seed: int,
) -> Any:
    """Its settings for arrays, and a training that a callback ends; three sides are of volumes."""
    return create_advanced_n2v_config(
        experiment_name="peer",
        data_type="array",
        axes="ZYX"[-len(patch) :],
        patch_size=patch,
        batch_size=batch,
        n_val_patches=1,  # the least: they are lost to the training, and 8 of 64 are many
        num_epochs=FOREVER,
        use_n2v2=n2v2,
        masked_pixel_percentage=percent,
        model_params={"residual": residual} | (model or {}),
        # No plateaus: its 66 validation pixels would lower the rate by luck.
        lr_scheduler="StepLR",
        lr_scheduler_params={"step_size": FOREVER},
        optimizer_params={"lr": RATE},
        num_workers=0,  # in this process, so that its CPU time is counted
        checkpoint_params={"save_top_k": 0, "save_last": False},
        trainer_params={
            "accelerator": "cpu",
            "devices": 1,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "check_val_every_n_epoch": FOREVER,
        },
        seed=seed + 1,  # it refuses 0
    )


def predicted(careamist: Any, images: list[Any], tile: int = 0) -> list[Any]:
    """What the weights in memory make of images whose sides are multiples of 4; 0: no tiles."""
    from careamics.lightning.prediction import convert_prediction

    settings = {"tile_size": (tile, tile), "tile_overlap": (48, 48)} if tile else {}
    module = careamist._build_predict_datamodule(images, batch_size=1, **settings)
    regions = careamist.trainer.predict(model=careamist.model, datamodule=module)
    results, _ = convert_prediction(regions, tiled=bool(tile), restore_shape=True)
    return [result.squeeze() for result in results]
