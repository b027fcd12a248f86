"""The live maps: what is answered while sources are in trouble, and who has the keys meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from mdeliver.cli import bcc_serve
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import generate
from mdeliver.sent.server import LiveMaps
from mdeliver.sent.settings import BccSettings


def test_a_source_that_cannot_even_be_looked_at_changes_no_answer() -> None:
    """Fingerprints ask Postfix where its tables are."""
    trouble: list[str] = []
    said: list[str] = []

    def fingerprint() -> object:
        if trouble:
            raise OSError(trouble[0])
        return 1

    maps = LiveMaps(lambda: {"m": {"a": "b"}}, fingerprint, said.append)
    trouble.append("no postconf")
    for _ in range(2):
        maps.refresh(now=True)
        maps.refresh()
        assert maps.look_up("m", "a") == "b"
    trouble.clear()
    maps.refresh()
    assert said == ["the answers stay as they were: no postconf", "the sources can be read again"]


def test_nobody_rotates_keys_that_the_live_server_is_about_to_write(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_text("ann@example.org\n")
    settings = BccSettings(
        (f"list:{tmp_path}/list",), key=f"{tmp_path}/new/keys", tags=f"{tmp_path}/tags",
        serve="unix:/nowhere", postfix=str(etc),
    )  # fmt: skip
    want = generate.want

    def watched(*arguments: object) -> generate.Wanted:
        with pytest.raises(Timeout), FileLock(f"{settings.key}.lock", timeout=0):
            pass
        return want(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(generate, "want", watched)
    assert bcc_serve._load(settings, Postfix(str(etc)))["sender_bcc"]
    with FileLock(f"{settings.key}.lock", timeout=0):
        pass
