from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdeliver import durable
from mdeliver.lmtp.accounts import (
    Account,
    SystemAccounts,
    VirtualAccounts,
    read_entries,
    split_extension,
)
from mdeliver.lmtp.settings import Lmtp
from mdeliver.outcome import Deferral


@pytest.fixture(autouse=True)
def _ages_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has just been written stays so, however slow this machine is."""
    monkeypatch.setattr("mdeliver.lmtp.accounts._SETTLED_S", 3600)


def write(path: Path, text: str, *, ago_s: float = 86_400) -> None:
    path.write_text(text)
    changed_s = time.time() - ago_s
    os.utime(path, (changed_s, changed_s))


def virtual(path: Path, text: str) -> VirtualAccounts:
    write(path, text)
    settings = Lmtp(virtual_users=(str(path),), virtual_homes="/var/vmail")
    return VirtualAccounts(settings, "+")


@pytest.mark.parametrize(
    ("local", "delimiters", "parts"),
    [
        ("ann", "+", ("ann", "")),
        ("ann+a+b", "+", ("ann", "a+b")),
        ("ann-a+b", "+-", ("ann", "a+b")),
        ("+ann", "+", ("+ann", "")),
        ("ann+", "+", ("ann", "")),
        ("ann+x", "", ("ann+x", "")),
    ],
)
def test_extension(local: str, delimiters: str, parts: tuple[str, str]) -> None:
    assert split_extension(local, delimiters) == parts


def test_entries_of_a_passwd_file_and_of_a_postfix_table() -> None:
    text = """\
# comment
Ann@example.org:{SHA}x:1000:1000:Ann:/homes/ann::
bob@example.org  example.org/bob/

carl@example.org
    continued/home
dora@example.org
"""
    assert list(read_entries(text)) == [
        ("ann@example.org", "/homes/ann"),
        ("bob@example.org", "example.org/bob/"),
        ("carl@example.org", "continued/home"),
        ("dora@example.org", ""),
    ]


def test_virtual_users_in_the_order_of_postfix(tmp_path: Path) -> None:
    accounts = virtual(
        tmp_path / "users",
        "ann@example.org a\nann+x@example.org b\n@example.net c\n"
        "bob@example.org /bob\neve@example.org",
    )
    found = {
        "Ann@Example.org": Account("ann@example.org", "/var/vmail/a", ""),
        "ann+x@example.org": Account("ann+x@example.org", "/var/vmail/b", ""),
        "ann+y@example.org": Account("ann@example.org", "/var/vmail/a", "y"),
        "any+y@example.net": Account("any@example.net", "/var/vmail/c", "y"),
        "bob@example.org": Account("bob@example.org", "/bob", ""),
        "eve@example.org": Account("eve@example.org", "/var/vmail/example.org/eve", ""),
        "dora@example.org": None,
        "ann": None,
    }
    assert {address: accounts.find(address, 0.0) for address in found} == found


def test_no_address_leaves_the_homes(tmp_path: Path) -> None:
    accounts = virtual(tmp_path / "users", "@example.org\n")
    for local in ("..", "../../etc", ".", "a/../../b", ".ssh"):
        account = accounts.find(f"{local}@example.org", 0.0)
        assert account is not None
        assert account.home.startswith("/var/vmail/example.org/")
        assert os.path.dirname(account.home) == "/var/vmail/example.org"


def test_a_changed_table_is_seen(tmp_path: Path) -> None:
    accounts = virtual(tmp_path / "users", "ann@example.org\n")
    assert accounts.find("bob@example.org", 0.0) is None
    write(tmp_path / "users", "ann@example.org\nbob@example.org\n")
    assert accounts.find("bob@example.org", 2.0) is not None


def test_a_table_that_is_being_written_refuses_nobody_for_good(tmp_path: Path) -> None:
    accounts = virtual(tmp_path / "users", "ann@example.org\nbob@example.org\n")
    assert accounts.find("bob@example.org", 0.0) is not None
    write(tmp_path / "users", "ann@example.org\n", ago_s=0)
    assert accounts.find("ann@example.org", 2.0) is not None
    with pytest.raises(Deferral, match="users has just been changed"):
        accounts.find("bob@example.org", 2.0)
    write(tmp_path / "users", "ann@example.org\n")
    assert accounts.find("bob@example.org", 4.0) is None


def test_a_table_that_is_being_written_gives_nobody_anothers_mail(tmp_path: Path) -> None:
    """Neither whoever has the rest of the domain, nor whose home is called as half of a home."""
    begun = "@example.org rest\nann@example.org an"
    accounts = virtual(tmp_path / "users", "")
    write(tmp_path / "users", begun, ago_s=0)
    for local in ("ann", "ann+x", "bob"):
        with pytest.raises(Deferral, match="users has just been changed"):
            accounts.find(f"{local}@example.org", 2.0)
    write(tmp_path / "users", begun)
    found = [accounts.find(f"{local}@example.org", 4.0) for local in ("ann", "bob")]
    assert [one.home for one in found if one] == ["/var/vmail/an", "/var/vmail/rest"]


def test_a_table_that_is_written_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = virtual(tmp_path / "users", "ann@example.org\nbob@example.org\n")

    def read_late(path: str, limit: int) -> bytes:
        write(Path(path), "ann@example.org\n", ago_s=0)
        return read(path, limit)

    read = durable.read_file
    monkeypatch.setattr(durable, "read_file", read_late)
    with pytest.raises(Deferral, match="users has just been changed"):
        accounts.find("bob@example.org", 0.0)


def test_a_table_that_is_missing_refuses_nobody_for_good(tmp_path: Path) -> None:
    accounts = VirtualAccounts(Lmtp(virtual_users=(str(tmp_path / "none"),)), "+")
    with pytest.raises(Deferral, match="none"):
        accounts.find("ann@example.org", 0.0)


def test_users_of_the_system() -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    accounts = SystemAccounts(Lmtp(), "+")
    accounts.only(os.geteuid())
    assert accounts.find(f"{me}+x@example.org", 0.0) == Account(me, "", "x")
    assert accounts.find(f"{me.upper()}@example.org", 0.0) == Account(me, "", "")
    other = "daemon" if me != "daemon" else "root"
    assert accounts.find(f"{other}@example.org", 0.0) is None
    assert accounts.find("\x00@example.org", 0.0) is None


def test_who_is_no_user_any_more_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much mail comes for that address."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    accounts = SystemAccounts(Lmtp(), "+")
    accounts.only(os.geteuid())
    assert accounts.find(me, 0.0) is not None
    monkeypatch.setattr("mdeliver.lmtp.accounts.login_of", lambda _name: None)
    found = [accounts.find(me, now_s) is not None for now_s in (5.0, 9.0, 13.0)]
    assert found == [True, True, False]


def test_a_passwd_database_that_cannot_be_asked_refuses_nobody_for_good() -> None:
    """In a process that has no descriptor left."""
    code = (
        "import resource\n"
        "from mdeliver.lmtp.accounts import SystemAccounts\n"
        "from mdeliver.lmtp.settings import Lmtp\n"
        "from mdeliver.outcome import Deferral\n"
        "accounts = SystemAccounts(Lmtp(), '+')\n"
        "assert accounts.find('no-such-user', 0.0) is None\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try:\n"
        "    accounts.find('no-such-user@example.org', 0.0)\n"
        "except Deferral as trouble:\n"
        "    print(trouble.text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout == "the passwd database cannot be asked: Too many open files\n"


def test_users_below_first_uid_have_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdeliver.system.geteuid", lambda: 0)
    accounts = SystemAccounts(Lmtp(front_user="daemon"), "+")
    assert accounts.find("root@example.org", 0.0) is None
    assert accounts.find("daemon@example.org", 0.0) is None
    assert accounts.find("nobody@example.org", 0.0) is not None


def test_the_user_of_the_front_has_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker would run as the front does."""
    monkeypatch.setattr("mdeliver.system.geteuid", lambda: 0)
    accounts = SystemAccounts(Lmtp(), "+")
    assert accounts.find("nobody@example.org", 0.0) is None
    assert accounts.find("nobody+x@example.org", 0.0) is None
