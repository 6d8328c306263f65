"""What holds for every test: one compute thread, seeds that the order of tests does not change."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

# Two workers with two threads each wait for one another more than they compute. Workers and the
# subprocesses of tests inherit this; a variable that is set already stays.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from unnoise.errors import naming_options  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in what a shell starts in the background; the programs that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long examples take tells of the machine and its other work, not of the code. The same ones are
# tried every time, so that a suite that passed passes again; `make flaky` draws new ones.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="UNNOISE_NEW_EXAMPLES" not in os.environ,
)
hypothesis.settings.load_profile("suite")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; tests that use it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the real images of ../shared/data are not on this machine")
    return SHARED


class NotOnThisScreen(pytest.Module):
    """A file of tests that need a screen, where no screen is meant: not even imported."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs a screen: run it with make test-gui", allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Files that say ``pytestmark = pytest.mark.gui`` run where ``-m gui`` asks for them."""
    wanted = re.search(r"(?<!not )\bgui\b", parent.config.option.markexpr)
    if wanted or "\npytestmark = pytest.mark.gui" not in module_path.read_text("utf-8"):
        return None
    return NotOnThisScreen.from_parent(parent, path=module_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch as pytest-randomly seeds NumPy: by the printed seed, whatever ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(item.config.getoption("randomly_seed", 0))


@pytest.fixture(autouse=True)
def _messages_as_they_are_written() -> Iterator[None]:
    """Messages name the options of the command line; tests/test_errors.py turns to scripts."""
    with naming_options():
        yield


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration of the shipped net that is over at once, where its quality does not matter."""
    monkeypatch.setattr("unnoise.training.instant.PIECES", 4)
