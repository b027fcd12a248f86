"""Users and groups that cannot be are told at the start, not by the first message."""

from __future__ import annotations

import os

import pytest

from mdeliver.lmtp.prepare import prepare
from mdeliver.lmtp.settings import Lmtp
from mdeliver.outcome import Deferral


@pytest.fixture(autouse=True)
def _records_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests in this process have their own, and look at what they say."""
    monkeypatch.setattr("mdeliver.lmtp.prepare.quicken", lambda: None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Lmtp(front_user="no-such-user"), "lmtp.front_user: there is no user no-such-user"),
        (Lmtp(front_user="root"), "lmtp.front_user: root has rights that it must not have"),
        (
            Lmtp(users="virtual", virtual_user="root"),
            "lmtp.virtual_user: root has rights that it must not have",
        ),
        (Lmtp(mail_group="no-such-group"), "lmtp.mail_group: there is no group no-such-group"),
    ],
)
def test_who_cannot_be(monkeypatch: pytest.MonkeyPatch, settings: Lmtp, words: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Deferral) as refused:
        prepare(settings)
    assert refused.value.text.startswith(words)


def test_what_is_not_used_need_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    prepare(Lmtp(virtual_user="no-such-user", mail_group=""))
    prepare(Lmtp(users="virtual", virtual_user="nobody", mail_group="no-such-group"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    prepare(Lmtp(front_user="no-such-user", mail_group="no-such-group"))
