"""Options and environment become an envelope and an identity."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from mdeliver.intake import (
    OPTIONS,
    Options,
    become_owner,
    make_envelope,
    parse_options,
    state_directory,
)
from mdeliver.outcome import Deferral

OWN = pwd.getpwuid(os.geteuid())


def environ(home: Path) -> dict[str, str]:
    return {
        "USER": "ann",
        "HOME": str(home),
        "SENDER": "bob@example.net",
        "RECIPIENT": "ann+x@Example.ORG",
        "EXTENSION": "x",
        "DOMAIN": "Example.ORG",
        "SASL_USERNAME": "ann",
        "CLIENT_ADDRESS": "192.0.2.7",
    }


def test_postfixs_environment(tmp_path: Path) -> None:
    envelope = make_envelope(Options(), environ(tmp_path))
    assert envelope.user == "ann"
    assert envelope.home == str(tmp_path)
    assert envelope.uid == os.geteuid()
    assert (envelope.sender, envelope.recipient) == ("bob@example.net", "ann+x@Example.ORG")
    assert (envelope.extension, envelope.domain) == ("x", "example.org")
    assert (envelope.sasl_username, envelope.client_address) == ("ann", "192.0.2.7")


def test_options_come_before_the_environment(tmp_path: Path) -> None:
    words = "--user=bea --sender= --recipient bea@example.net --extension=y"
    envelope = make_envelope(parse_options(words.split()), environ(tmp_path))
    assert (envelope.user, envelope.sender, envelope.recipient) == ("bea", "", "bea@example.net")
    assert envelope.extension == "y"


def test_without_an_environment_it_is_who_runs_it() -> None:
    envelope = make_envelope(Options(), {})
    assert (envelope.user, envelope.home) == (OWN.pw_name, OWN.pw_dir)
    assert (envelope.recipient, envelope.sender, envelope.domain) == (OWN.pw_name, "", "")


def test_the_domain_may_come_from_the_recipient(tmp_path: Path) -> None:
    found = environ(tmp_path)
    del found["DOMAIN"]
    assert make_envelope(Options(), found).domain == "example.org"


def test_every_option_is_taken() -> None:
    words = [word for name, _value, _meaning in OPTIONS for word in (f"--{name}", name.upper())]
    assert parse_options(words) == Options(*(name.upper() for name, _value, _meaning in OPTIONS))


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--colour"], "no option '--colour'"), (["x"], "no option 'x'"), (["--user"], "a value")],
)
def test_an_option_that_is_none_defers(words: list[str], said: str) -> None:
    with pytest.raises(Deferral, match=said) as refused:
        parse_options(words)
    assert refused.value.status == "4.3.5"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"HOME": "/nonexistent/ann"}, "home directory /nonexistent/ann of user ann"),
        ({"HOME": "home/ann"}, "is not an absolute path"),
        ({"HOME": "", "USER": "no-such-user"}, "unknown user no-such-user"),
    ],
)
def test_who_cannot_be_known_defers(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(Deferral, match=said):
        make_envelope(Options(), environ(tmp_path) | changes)


def test_state_is_where_the_xdg_specification_says(tmp_path: Path) -> None:
    envelope = make_envelope(Options(), environ(tmp_path))
    for base, there in (
        ("", f"{tmp_path}/.local/state/mdeliver"),
        ("relative", f"{tmp_path}/.local/state/mdeliver"),
        ("/var/state", "/var/state/mdeliver"),
    ):
        assert state_directory(envelope, {"XDG_STATE_HOME": base}) == there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_the_owner_of_the_home(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        become_owner(make_envelope(Options(), environ(tmp_path)))
        os.write(writing, repr((os.getresuid(), os.getresgid(), os.getgroups())).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        assert pipe.read() == repr(((4711,) * 3, (4712,) * 3, []))
    os.waitpid(child, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_not_the_user_of_a_home_that_root_owns(tmp_path: Path) -> None:
    """A user may have put links below it, which must not be written through as root."""
    nobody = pwd.getpwnam("nobody")
    found = environ(tmp_path) | {"USER": nobody.pw_name}
    assert make_envelope(Options(), found).uid == nobody.pw_uid
