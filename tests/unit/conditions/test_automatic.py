"""Senders that are programs, as procmail's ^FROM_DAEMON knows them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.conditions.automatic import automatic, is_daemon
from mdeliver.envelope import Envelope
from mdeliver.message import Message
from mdeliver.scene import Scene
from mdeliver.settings import Site
from tests.cputime import cpu_limit

# procmailrc(5), FROM_DAEMON: the part that describes an address, before its domain.
FROM_DAEMON = re.compile(
    r"From: ([^>]*[^(.%@a-z0-9])?(Post(ma?(st(e?r)?|n)|office)|(send)?Mail(er)?|daemon"
    r"|m(mdf|ajordomo)|n?uucp|LIST(SERV|proc)|NETSERV|o(wner|ps)|r(e(quest|sponse)|oot)"
    r"|b(ounce|bs\.smtp)|echo|mirror|s(erv(ices?|er)|mtp(error)?|ystem)"
    r"|A(dmin(istrator)?|MMGR|utoanswer))(([^).!:a-z0-9][-_a-z0-9]*)?[%@>\t ][^<)]*(\(.*\).*)?)?$",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("local", "daemon"),
    [
        ("postmaster", True),
        ("MAILER-DAEMON", True),
        ("users-request", True),
        ("owner-users", True),
        ("owner-users.de", False),
        ("ann+root", True),
        ("rooted", False),
        ("chroot", False),
        ("ann.root", False),
        ("noreply", False),
        ("", False),
        ("-" * 10_000 + "root", False),
    ],
)
def test_daemons(local: str, daemon: bool) -> None:
    assert is_daemon(local) is daemon


@given(
    st.lists(
        st.sampled_from([*"-_.+a0!:=~", "root", "owner", "mail", "smtp", "error", "bbs", "er"]),
        max_size=6,
    ).map("".join)
)
def test_as_procmail_does(local: str) -> None:
    expected = FROM_DAEMON.match(f"From: {local}@example.org") is not None
    assert is_daemon(local) is expected


def test_ten_thousand_senders_are_quick() -> None:
    head = b"From: " + b", ".join(b"o-r-e-m-s-%d@x" % n for n in range(10_000)) + b"\n\n"
    envelope = Envelope("ann", "/home/ann", 1000, "bob@example.org")
    scene = Scene(Message(head, 1), envelope, Site(), 0.0, False)
    with cpu_limit(5):
        assert not automatic(scene)
