"""Who asks at the launcher's door, and for how long that is believed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from mdeliver.lmtp import identity
from mdeliver.lmtp.identity import BELIEVED_S, Callers, NotServed, become_user
from mdeliver.lmtp.settings import Lmtp
from mdeliver.lmtp.worker import Identity

ANN = ("ann", "x", 1000, 1000, "Ann", "/home/ann", "/bin/sh")
SETTINGS = Lmtp(first_uid=1)


@pytest.fixture
def passwd(monkeypatch: pytest.MonkeyPatch) -> dict[int, pwd.struct_passwd]:
    """The passwd database, with ANN in it."""
    ann = pwd.struct_passwd(ANN)
    entries = {1000: ann}
    monkeypatch.setattr(pwd, "getpwuid", entries.__getitem__)
    monkeypatch.setattr(pwd, "getpwnam", {"ann": ann}.__getitem__)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return entries


def test_a_removed_account_is_served_no_longer_than_a_moment(
    passwd: dict[int, pwd.struct_passwd],
) -> None:
    callers = Callers(SETTINGS)
    assert callers.find(1000, 50.0).login == "ann"
    del passwd[1000]
    assert callers.find(1000, 50.0 + BELIEVED_S / 2).login == "ann"
    for later_s in (BELIEVED_S, BELIEVED_S + 0.1, 3600.0):
        with pytest.raises(NotServed, match="no passwd entry"):
            callers.find(1000, 50.0 + later_s)
    assert BELIEVED_S <= 1.0


def test_to_ask_again_and_again_does_not_make_the_moment_longer(
    passwd: dict[int, pwd.struct_passwd],
) -> None:
    callers = Callers(SETTINGS)
    now_s = 50.0
    callers.find(1000, now_s)
    del passwd[1000]
    while now_s < 50.0 + BELIEVED_S * 0.9:
        callers.find(1000, now_s)
        now_s += BELIEVED_S / 20
    with pytest.raises(NotServed):
        callers.find(1000, 50.0 + BELIEVED_S)


def test_a_changed_account_is_another_one_after_a_moment(
    passwd: dict[int, pwd.struct_passwd],
) -> None:
    callers = Callers(SETTINGS)
    assert callers.find(1000, 50.0).gid == 1000
    passwd[1000] = pwd.struct_passwd(("ann", "x", 1000, 2000, "Ann", "/home/ann", "/bin/sh"))
    assert callers.find(1000, 50.0 + BELIEVED_S).gid == 2000


def test_whoever_has_left_a_group_is_another_one_after_a_moment(
    passwd: dict[int, pwd.struct_passwd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = tmp_path / "group"
    groups.write_text("staff:x:50:ann\n")
    monkeypatch.setattr(identity, "_GROUPS", str(groups))
    callers = Callers(SETTINGS)
    before = callers.find(1000, 50.0)
    assert callers.find(1000, 60.0) == before
    changed = tmp_path / "group.new"
    changed.write_text("staff:x:50:\n")
    os.utime(changed, ns=(0, 0))
    changed.rename(groups)
    assert callers.find(1000, 70.0) != before
    account = identity.identity_of_account("ann", SETTINGS)
    assert account == callers.find(1000, 70.0)
    groups.unlink()
    assert callers.find(1000, 80.0).login == "ann"


def test_each_uid_is_somebody_else(passwd: dict[int, pwd.struct_passwd]) -> None:
    passwd[1001] = pwd.struct_passwd(("bob", "x", 1001, 1001, "Bob", "/home/bob", "/bin/sh"))
    callers = Callers(SETTINGS)
    found = [callers.find(uid, 50.0).login for uid in (1000, 1001, 1000, 1001)]
    assert found == ["ann", "bob", "ann", "bob"]


def test_nobody_is_refused_longer_than_the_database_says(
    passwd: dict[int, pwd.struct_passwd],
) -> None:
    """An account that has just been made is served at once."""
    callers = Callers(SETTINGS)
    entry = passwd.pop(1000)
    with pytest.raises(NotServed):
        callers.find(1000, 50.0)
    passwd[1000] = entry
    assert callers.find(1000, 50.0).login == "ann"


def test_root_is_nobodys_caller(passwd: dict[int, pwd.struct_passwd]) -> None:
    passwd[0] = pwd.struct_passwd(("root", "x", 0, 0, "root", "/root", "/bin/sh"))
    with pytest.raises(NotServed, match="first_uid"):
        Callers(SETTINGS).find(0, 50.0)


def test_nobody_works_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever made the process believe that it is not root, or is who it should be."""
    monkeypatch.setattr("mdeliver.lmtp.identity._limit", lambda *_: None)
    monkeypatch.setattr(os, "geteuid", lambda: 2**32 - 37)
    other = os.getuid() + 1
    with pytest.raises(NotServed, match=f"could not become uid {other}"):
        become_user(Identity("ann", other, other, "/home/ann", "ann"), SETTINGS)
