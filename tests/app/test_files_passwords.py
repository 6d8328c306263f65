"""A password in an address opens it, and stands in nothing that is printed or written."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from synthetic import photons
from tiny import two_steps
from unnoise.app import train
from unnoise.app.denoise import denoise_files
from unnoise.app.document import Document
from unnoise.app.events import Saved
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.models import folder as model_folder

SECRET = "open-sesame"
LOGIN = "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()


class Locked(http.server.SimpleHTTPRequestHandler):
    """Serves those who know the password."""

    def send_head(self):  # type: ignore[no-untyped-def]
        if self.headers["Authorization"] == LOGIN:
            return super().send_head()
        self.send_error(401)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address with a password, with images; the current folder is empty."""
    (tmp_path / "served").mkdir()
    for i in range(2):
        np.save(tmp_path / "served" / f"{i}.npy", photons((24, 28), seed=i))
        np.save(tmp_path / "served" / f"t{i}.npy", photons((24, 28), seed=i))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    handler = functools.partial(Locked, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://ann:{SECRET}@127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_password_opens_and_is_not_told(locked: str, tmp_path: Path) -> None:
    document, told = Document("denoise"), []
    names = [f"{locked}/0.npy", f"{locked}/1.npy", f"{locked}/gone.npy"]
    job = denoise_files(
        names,
        Config(method="gaussian"),
        reading=InputOptions(mask=f"{locked}/0.npy"),
        writing=OutputOptions(out="out"),
        save_model="m",
        reporting=ReportOptions(wanted=True),
    )
    for event in job:
        document.take(event)
        told.append(str(event))
    written = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    texts = [document.to_json().encode(), "".join(told).encode(), *written.values()]
    assert not [text[:80] for text in texts if SECRET.encode() in text]
    assert {"0.npy", "1.npy"} < {p.name for p in written}
    assert sum(b"ann:***@127.0.0.1" in text for text in texts) >= 4  # ledger, report, model, JSON
    with pytest.raises(InputError, match=r"http://ann:\*\*\*@127\.0\.0\.1:\d+/5.npy") as error:
        formats.open(f"{locked}/5.npy")
    assert SECRET not in str(error.value)
    first = formats.open(f"{locked}/t{{t}}.npy")
    assert first.axes == "TYX"
    assert SECRET not in f"{first.path}{first.path!r}"


def test_a_training_goes_on_when_the_password_is_named_again(
    locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = ReportOptions(wanted=False)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "finish", stop)
        job = train.train_files(
            [f"{locked}/0.npy"], "m", two_steps(), reading=InputOptions(), reporting=quiet
        )
        assert len(list(job)) > 2
    assert model_folder.is_resumable(Path("m"))
    with pytest.raises(InputError, match=r"the password of .* was not kept; name the address"):
        list(train.resume("m", reporting=quiet))
    assert isinstance(list(train.resume("m", [f"{locked}/0.npy"], reporting=quiet))[-1], Saved)


def test_records_of_jobs_keep_no_password(locked: str) -> None:
    request = Request((f"{locked}/0.npy",), out=f"{locked}/out.npy")
    job = Job("0", request, "", 1)
    record = json.dumps(job.to_dict())
    assert SECRET not in record + request.command()
    assert record.count(":***@127.0.0.1") == 2
    assert SECRET in json.dumps(request.to_dict())  # for the process of the job
