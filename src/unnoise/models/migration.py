"""Model folders of earlier formats, read as if they were of today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unnoise.nets.gaussian_denoiser import lags


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``config.yaml`` in the layout of today.

    In format 1 all that was known of a model lay in ``origin``; noise and record were ``known``.

    Raises
    ------
    LookupError, TypeError, ValueError
        If something is missing or of another kind.
    """
    if values["format"] >= 2:
        return dict(values)
    found = _of_format_1(values)
    if "partner" in found:
        other = found.pop("partner")
        found["second"] = {**_of_format_1(other), "share": other["share"]}
    return found


def with_correlation(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a model of the shipped net, which formerly took all noise for white."""
    found = dict(weights)
    if "knots" in found and "rho" not in found:
        found["rho"] = torch.zeros(len(found["knots"]), len(lags()))
    if "knots" in found and "bins" not in found:
        found["bins"] = torch.tensor(1)
    if "knots" in found and "blur_share" not in found:
        n = len(found["knots"])
        found |= {"blur_share": torch.zeros(n), "blur_width": torch.ones(n)}
    return found


def _of_format_1(values: Mapping[str, Any]) -> dict[str, Any]:
    """One model of format 1."""
    found, origin = dict(values), dict(values["origin"])
    del found["origin"]
    n = len(found["channels"])
    known, split = origin.pop("known", None), origin.pop("recorruption", None)
    if known is not None or split is not None:
        models = [part["noise"] for part in split] if split is not None else known["noise"]
        facts = known or {}
        found["noise"] = {
            "models": models,
            "relative_error": facts.get("relative_error", [1.0] * n),
            "correlated": facts.get("correlated", [""] * n),
            "independent": origin.pop("independent", []),
            "autocorrelation": [part["rho"] for part in split or ()],
        }
    if known is not None:
        found["record"] = {
            "dependence": known["dependence"],
            "memorised": known["memorised"],
            "looks": known["familiar"],
        }
    if "road" in origin:
        found["choice"] = {"candidate": origin.pop("road"), "risks": origin.pop("risks")}
    for place, old, new in (
        (found, "centre", "posterior"),
        (origin, "centre", "posterior_test"),
        (origin, "calibration", "coverage"),
    ):
        if old in place:
            found[new] = place.pop(old)
    found["provenance"] = origin
    return found
