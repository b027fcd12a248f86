"""Bad input: one line that says what and where, status 75, and the message in no place.

After mending, the same message is delivered once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.installation import lacking
from tests.local8 import Person, hand_over
from tests.processes.conftest import MESSAGE, STORES, Home, deferral


class Trouble(NamedTuple):
    """Something that is wrong with a home.

    make    makes it wrong
    mend    makes it right again
    says    words of the one line, with {home} filled in
    """

    make: Callable[[Home], object]
    mend: Callable[[Home], object]
    says: str


def _mbox(home: Home) -> Path:
    return home.path / "mbox"


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def _remove_mbox(home: Home) -> None:
    shutil.rmtree(_mbox(home)) if _mbox(home).is_dir() else _mbox(home).unlink()


def _link_mbox(home: Home) -> None:
    victim = home.path / "victim"
    victim.touch()
    home.give(victim)
    os.link(victim, _mbox(home))


def _symlink_mbox(home: Home) -> None:
    victim = home.path / "victim"
    victim.touch()
    home.give(victim)
    _mbox(home).symlink_to(victim)


def _fifo_mbox(home: Home) -> None:
    os.mkfifo(_mbox(home), 0o600)
    home.give(_mbox(home))


def _break_rules(home: Home) -> None:
    home.write_rules('if subject is "x"\n    keep\n')


def _right_rules(home: Home) -> None:
    home.write_rules("")


TROUBLES = {
    "a syntax error": Trouble(_break_rules, _right_rules, "{home}/.config/mdeliver/rules:4:"),
    "rules that others may write": Trouble(
        lambda home: home.rules.chmod(0o620), _right_rules, "{home}/.config/mdeliver/rules"
    ),
    "rules that nobody may read": Trouble(
        lambda home: home.rules.chmod(0), _right_rules, "{home}/.config/mdeliver/rules"
    ),
    "rules that are no text": Trouble(
        lambda home: home.rules.write_bytes(STORES.encode() + b'log "\xff"\n'),
        _right_rules,
        "{home}/.config/mdeliver/rules",
    ),
    "a symlinked mbox": Trouble(_symlink_mbox, _remove_mbox, "{home}/mbox"),
    "a hard-linked mbox": Trouble(_link_mbox, _remove_mbox, "{home}/mbox"),
    "a FIFO for an mbox": Trouble(_fifo_mbox, _remove_mbox, "{home}/mbox"),
    "a directory for an mbox": Trouble(
        lambda home: home.give(_directory(_mbox(home))),
        _remove_mbox,
        "{home}/mbox",
    ),
    "a home that cannot be written": Trouble(
        lambda home: home.path.chmod(0o500), lambda home: home.path.chmod(0o700), "{home}"
    ),
    "a file for a Maildir": Trouble(
        lambda home: home.give(_touched(home.path / "Maildir")),
        lambda home: (home.path / "Maildir").unlink(),
        "{home}/Maildir",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_trouble_defers_with_one_line_and_passes_when_mended(home: Home, trouble: Trouble) -> None:
    trouble.make(home)
    assert trouble.says.format(home=home.path) in deferral(home.deliver())
    assert not (home.path / "victim").exists() or (home.path / "victim").read_bytes() == b""

    trouble.mend(home)
    assert home.is_empty
    assert home.deliver(at=1_700_000_600).verdict == "sent"
    assert home.holds_once()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["rules", "mbox"])
def test_a_file_of_somebody_else_defers(home: Home, name: str) -> None:
    path = home.rules if name == "rules" else _touched(_mbox(home))
    os.chown(path, 1, 1)
    path.chmod(0o666 if name == "mbox" else 0o644)
    assert str(path) in deferral(home.deliver())


def test_a_rules_file_of_roots_is_believed(home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(home.rules, 0, 0)
    home.rules.chmod(0o644)
    assert home.deliver().verdict == "sent"
    assert home.holds_once()


def test_the_direct_path_answers_as_the_launcher_does(either: Home) -> None:
    _break_rules(either)
    assert "rules:4:" in deferral(either.deliver())
    _right_rules(either)
    assert either.deliver(at=1_700_000_600).verdict == "sent"
    assert either.holds_once()


def test_a_reject_is_the_only_bounce(either: Home) -> None:
    either.write_rules('reject "5.7.1 not here"\n')
    answer = either.deliver()
    assert answer.verdict == "bounced"
    assert answer.output == b"5.7.1 not here\n"
    assert either.is_empty


def test_an_unknown_user_without_home_defers(home: Home) -> None:
    environ = home.environ
    del environ["HOME"]
    command = [*home.command, "--user", "nobody-of-this-name"]
    answer = hand_over(command, home.handed(), environ, home.person)
    assert "nobody-of-this-name" in deferral(answer)


def test_a_home_that_is_not_there_defers_and_is_not_made(home: Home) -> None:
    """It may be a file system that is not mounted: mail put under the mount point were lost."""
    absent = home.path / "absent"
    assert str(absent) in deferral(home.deliver(HOME=str(absent)))
    assert not absent.exists()


def test_a_relative_home_defers(home: Home) -> None:
    assert "'tmp'" in deferral(home.deliver(HOME="tmp"))


def test_a_wrong_option_defers(home: Home) -> None:
    home.command += ["--rule", "x"]
    assert "--rule" in deferral(home.deliver())


def test_no_message_defers(home: Home) -> None:
    deferral(hand_over(home.command, b"", home.environ, home.person))
    assert home.is_empty


@pytest.mark.parametrize(
    "subject", ["../../etc", "..", "/etc/passwd", "a/../../b", "..\t..", ".", "~root", "\x01..\x7f"]
)
def test_no_subject_climbs_out_of_the_mailbox(home: Home, subject: str) -> None:
    home.write_rules('if subject exists:\n    file to imap/"{subject}"\n')
    before = {path for path in home.path.parent.rglob("*") if home.path not in path.parents}
    answer = home.deliver(f"Subject: {subject}\n\nClimbing.\n".encode())

    assert answer.verdict == "sent", answer
    assert {p for p in home.path.parent.rglob("*") if home.path not in p.parents} == before
    assert {path.name for path in home.path.iterdir()} <= {".config", ".local", "Maildir"}
    messages = list((home.path / "Maildir").rglob("new/*"))
    assert [path.parent.parent.parent for path in messages] == [home.path / "Maildir"]


@contextmanager
def small_disk(at: Path, person: Person, size: str) -> Iterator[None]:
    """A file system of SIZE at a directory, the person's."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},uid={person.uid},mode=700", "t", str(at)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        lacking(f"a full disk needs a file system of its own: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("body_kib", [1, 20, 30, 40, 60, 300])
def test_a_full_disk_defers_and_room_lets_it_pass(home: Home, body_kib: int) -> None:
    """80 KiB with 24 of them taken: the small message fits twice, the others once or not at all."""
    with small_disk(home.path, home.person, "80k"):
        home.write_rules("")
        ballast = home.give(_touched(home.path / "ballast"))
        ballast.write_bytes(b"x" * 24 * 1024)
        message = MESSAGE + (b"y" * 63 + b"\n") * 16 * body_kib
        answer = home.deliver(message)
        if answer.verdict == "sent":
            assert body_kib == 1
            return
        assert body_kib > 1
        deferral(answer)
        assert home.is_empty
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", str(home.path)], check=True)
        assert home.deliver(message, at=1_700_000_600).verdict == "sent"
        assert home.holds_once(message)


@pytest.mark.parametrize("limit_bytes", [1, 100, 400, 500, 600, 1000, 1100, 1200])
def test_a_write_that_stops_half_way_is_taken_back(home: Home, limit_bytes: int) -> None:
    """RLIMIT_FSIZE: a write ends at that byte of the file, wherever that is, the next one fails."""
    message = MESSAGE + b"z" * 1000 + b"\n"
    limited = ["/usr/bin/prlimit", f"--fsize={limit_bytes}", *home.command]
    deferral(hand_over(limited, home.handed(message), home.environ, home.person))
    assert home.is_empty
    assert home.deliver(message, at=1_700_000_600).verdict == "sent"
    assert home.holds_once(message)
