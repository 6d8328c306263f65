"""What must not be loaded or happen on the way to the first training step."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def printed(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    inherited = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, **environment},
    )
    return run.stdout.split("\n")[-2]


def test_the_jobs_load_neither_compiler_nor_statistics_nor_plots() -> None:
    heavy = ("torch._dynamo", "torch._inductor", "scipy.stats", "scipy.signal", "matplotlib")
    heavy = (*heavy, "skimage", "onnx", "onnxruntime", "sympy", "jinja2")
    code = (
        f"import sys, unnoise.app.denoise; print([name for name in {heavy} if name in sys.modules])"
    )
    assert printed(code) == "[]"


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_small_products_take_one_thread_unless_told(given: dict[str, str], expected: str) -> None:
    code = """
import os, sys
from unnoise.app.cli import main as cli
assert "numpy" not in sys.modules, "it would have read the variable already"
sys.argv = ["unnoise", "--version"]
try:
    cli.main()
except SystemExit:
    print(os.environ["OPENBLAS_NUM_THREADS"])
"""
    assert printed(code, **given) == expected
