"""The front's workers: whoever is lost on the way is asked for again."""

from __future__ import annotations

import gc
import os
import socket
from array import array

from mdeliver.lmtp import frames
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


def test_descriptors_that_a_worker_sends_do_not_stay_open() -> None:
    """It runs as a user, and the front's are everybody's."""
    replies: list[str] = []
    crew = Crew(Lmtp(), lambda _packet: None, lambda *_: None)
    crew.send("ann", Errand(1, b"first", None, replies.append), 0.0)
    ours, theirs = frames.pair()
    with ours, theirs:
        gc.collect()  # what an earlier test left open is closed now, not in between
        before = sorted(os.listdir("/proc/self/fd"))
        crew.started("ann", 0, ours, "", 0.0)
        done = frames.pack(frames.DONE, b"1", b"250 2.0.0 delivered")
        rights = array("i", [theirs.fileno()] * 3)
        theirs.sendmsg([done], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        crew.ready(crew._mates["ann", 0], 0.0)
        assert replies == ["250 2.0.0 delivered"]
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_packet_that_is_cut_is_the_end_of_its_worker() -> None:
    replies: list[str] = []
    crew = Crew(Lmtp(), lambda _packet: None, lambda *_: None)
    crew.send("ann", Errand(1, b"first", None, replies.append), 0.0)
    ours, theirs = frames.pair()
    with ours, theirs:
        crew.started("ann", 0, ours, "", 0.0)
        theirs.send(frames.pack(frames.DONE, b"1", b"x" * frames.PACKET_BYTES))
        crew.ready(crew._mates["ann", 0], 0.0)
        assert replies[0][:9] == "451 4.3.0"
        assert crew._mates == {}


def test_answers_are_taken_together_and_the_last_is_not_looked_behind() -> None:
    """A worker that has nothing in hand has nothing to say but BYE, and is heard in time."""
    replies: list[str] = []
    crew = Crew(Lmtp(), lambda _packet: None, lambda *_: None)
    for number in (1, 2):
        crew.send("ann", Errand(number, b"job", None, replies.append), 0.0)
    ours, theirs = frames.pair()
    with ours, theirs:
        crew.started("ann", 0, ours, "", 0.0)
        for place in (b"2", b"1"):
            frames.send(theirs, frames.pack(frames.DONE, place, b"250 2.0.0 " + place))
        frames.send(theirs, frames.pack(frames.BYE))
        mate = crew._mates["ann", 0]
        crew.ready(mate, 0.0)
        assert replies == ["250 2.0.0 2", "250 2.0.0 1"]
        crew.ready(mate, 0.0)
        assert crew._mates == {}
