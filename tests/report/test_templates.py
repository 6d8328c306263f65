"""Every string of a report is text that HTML may hold."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.report.page import render
from unnoise.report.page_parts import Page

BAD = "a\udc80<b>\x00\u202e"


@pytest.mark.parametrize("kind", [str, np.str_])
def test_names_of_any_kind_of_string_are_fit_for_html(kind: type[str]) -> None:
    html = render(Page(kind(BAD), kind(BAD), ()))
    assert html.encode("utf-8")
    assert "a\ufffd&lt;b&gt;\ufffd\ufffd" in html
    assert not set(BAD) & set("\udc80\x00\u202e") & set(html)
