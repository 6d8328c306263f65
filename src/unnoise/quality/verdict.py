"""A result in one word."""

from __future__ import annotations

from collections.abc import Sequence

from unnoise.quality.assess import Assessment

VERDICTS = {
    "better": "closer to the clean image than the noisy one, by estimate",
    "worse": "farther from the clean image than the noisy one, for all that is known",
    "unknown": "not judged, as the noise could not be measured well enough, or is correlated",
    "no signal": "nothing in the image rises above its noise",
    "unchanged": "no method helped, so the image was copied",
}


def verdict(channels: Sequence[Assessment]) -> str:
    """What the channels of a result come to, out of `VERDICTS`.

    It is worse than the noisy image where its squared errors, in noise variances and as small as
    they may be, are above 1 in the mean of the channels.
    """
    if sum(10 ** (-c.ceiling / 10) for c in channels) > len(channels):
        return "worse"
    if channels and not any(c.has_signal for c in channels):
        return "no signal"
    known = [c.gain for c in channels if c.gain is not None and c.gain.consistent]
    if known and len(known) == len(channels) and all(gain.psnr.low > 0 for gain in known):
        return "better"
    return "unknown"
