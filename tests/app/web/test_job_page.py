"""What the page of a job says of its results."""

from __future__ import annotations

import math

from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.app.web.job_page import gains_of


def test_gains_that_are_no_numbers_are_not_told() -> None:
    job = Job("1", Request(("a.lif",)))
    gains = [["1", math.inf, -math.inf, math.inf], ["2", 5.0, 0.1, math.inf], ["3"]]
    job.judged = ({"image": "a.lif", "method": "n2v", "gains": gains},)
    (line,) = gains_of(job)
    assert line == "Estimated gain in PSNR: 5.0 dB (channel 2), at least 0.1; method n2v"
    job.judged = ({"image": "a.lif", "method": "n2v", "gains": gains[:1]},)
    assert gains_of(job) == []
