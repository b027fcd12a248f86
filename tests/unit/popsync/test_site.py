"""What the master of all users makes of what their processes say."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver.lmtp.settings import Lmtp
from mdeliver.popsync.asbefore import AsBefore
from mdeliver.popsync.settings import PopSync
from mdeliver.popsync.site import Settings, _Master
from mdeliver.popsync.watch import look_of
from mdeliver.settings import Site

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def master() -> Iterator[_Master]:
    """One that serves nobody yet."""
    before = [signal.getsignal(number) for number in _SIGNALS]
    settings = Settings(Site(), PopSync(users=("nobody is called so",), remember=""), Lmtp(), None)
    made = _Master(lambda: settings, lambda _words: None, lambda *_: None, once=False)
    try:
        yield made
    finally:
        made.close()
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def said(**words: object) -> bytes:
    return json.dumps(words).encode()


def test_what_changed_before_it_was_watched_is_looked_at_again(
    master: _Master, tmp_path: Path
) -> None:
    mbox = tmp_path / "mbox"
    mbox.write_bytes(b"one")
    was = {str(mbox): look_of(str(mbox))}
    assert master._heard("ann", said(watch=was)) == ""
    assert master._alarms == {}
    mbox.write_bytes(b"one and two")
    assert master._heard("bob", said(watch=was)) == ""
    assert list(master._alarms) == ["bob"]


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b'{"watch": 1}', b'{"change": ["x"]}'])
def test_nonsense_is_a_trouble(master: _Master, line: bytes) -> None:
    assert master._heard("ann", line) == "its process said something that cannot be read"


def test_troubles_are_told(master: _Master) -> None:
    assert master._heard("ann", said(troubles=["a", "b"])) == "a; b"


def test_only_absolute_paths_are_watched(master: _Master) -> None:
    assert master._heard("ann", said(watch={"mbox": [], "/a\0b": []})) == ""
    assert master._owners == {}


def test_with_whom_all_is_as_before_is_watched_and_not_looked_at(
    master: _Master, tmp_path: Path
) -> None:
    mbox = tmp_path / "mbox"
    mbox.write_bytes(b"one")
    look = {"files": {str(mbox): look_of(str(mbox))}, "watch": [str(mbox)]}
    master._before = AsBefore(str(tmp_path / "looks"), "settings")
    assert master._heard("ann", said(look=look)) == ""
    master._meet("ann")
    assert master._alarms == {}
    assert master._owners == {str(mbox): {"ann"}}
    mbox.write_bytes(b"one and two")
    master._meet("ann")
    assert list(master._alarms) == ["ann"]
