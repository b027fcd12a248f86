"""The front's workers: whoever is lost on the way is asked for again."""

from __future__ import annotations

from mdeliver.lmtp.crew import Crew, Errand
from mdeliver.lmtp.settings import Lmtp


def test_a_worker_that_never_comes_is_asked_for_again() -> None:
    """The master's answer can be lost, as where the kernel has no room for it."""
    asked: list[bytes] = []
    replies: list[str] = []
    crew = Crew(Lmtp(slow_s=30), asked.append, lambda *_: None)
    crew.send("ann", Errand(1, b"first", None, replies.append), 0.0)
    crew.look_at_the_clock(29.0)
    assert (len(asked), replies) == (1, [])
    crew.look_at_the_clock(31.0)
    assert [reply[:3] for reply in replies] == ["451"]
    crew.send("ann", Errand(2, b"second", None, replies.append), 32.0)
    assert len(asked) == 2


def test_without_a_master_nobody_waits() -> None:
    replies: list[str] = []
    crew = Crew(Lmtp(), lambda _packet: None, lambda *_: None)
    crew.send("ann", Errand(1, b"first", None, replies.append), 0.0)
    crew.orphan()
    crew.send("ben", Errand(2, b"second", None, replies.append), 0.0)
    assert [reply[:9] for reply in replies] == ["451 4.3.0", "451 4.3.0"]
