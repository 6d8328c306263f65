"""A result beside another one: the model of their mean, and the line that tells what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unnoise.models.model import Choice, EnsembleMember, Model
from unnoise.models.provenance import Provenance
from unnoise.quality.risk_estimate import RiskEstimate

DOUBT = 1.0
"""By so many standard errors the mean is nearer to the first than where its risk seems least. A
mean is worse than it only where the best weight is less than half of the one taken."""
STRENGTH = 0.3
"""By this share the strength of correlated noise may be measured wrong, against what repeats more
of it: its risk falls and rises with that. Without, a mean was 0.65 dB below instant on simulated
microscopy with blurred noise."""
LEAST_SHARE = 0.1
"""A second model takes its time in every prediction, which a smaller weight is not worth."""


def mean_of(
    names: tuple[str, str],
    models: tuple[Model, Model],
    judged: tuple[RiskEstimate, RiskEstimate],
    share: float,
    risks: Mapping[str, float],
) -> Model:
    """The mean of two models, the second with a share, and what is known of its risk.

    Parameters
    ----------
    names, models, judged : tuples of two
        By what they are called, and what is estimated of both on the same pieces.
    share : float
        Weight of the second, 0 to 1.
    risks : mapping
        Estimated risk by name, of the first at least.
    """
    (first, second), (one, two) = models, judged
    both = " + ".join(names)
    mean = risks[names[0]] + one.with_share(two, share).risk - one.risk
    # The provenance and the noise of the first say it all.
    member = EnsembleMember(replace(second, provenance=Provenance(), noise=None), share)
    return replace(first, second=member, choice=Choice(both, {**risks, both: mean}))


def line_of(model: Model) -> str:
    """What was chosen and by which risks; nothing where nothing was."""
    if model.choice is None:
        return ""
    risks = ", ".join(f"{name} {value:.5g}" for name, value in model.choice.risks.items())
    chosen = model.choice.candidate
    if model.second is not None:
        chosen += f" ({model.second.share:.0%} of the latter)"
    return f"chosen: {chosen}, by the estimated risk on held-out pixels ({risks})"
