"""State files that are damaged: no delivery waits or fails for one, and one line tells of it.

Each row is a file of the state directory; each is spoilt in every way that a crash, a full disk or
a slip of the hand has.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mdeliver import acceptance, agent, damage, durable, limits
from mdeliver.cli.log import command as log_command
from mdeliver.deliver.journal import Journal, message_key
from mdeliver.deliver.journalfile import KeptJournal
from mdeliver.envelope import Envelope
from mdeliver.history.damaged import tell
from mdeliver.letter import letter_of
from mdeliver.memory import DELIVERED, Memory, name_of
from mdeliver.outcome import Outcome
from mdeliver.rulescache import RulesCache
from mdeliver.sent import filing
from mdeliver.sent.filing import STATE as SENT_COPIES
from mdeliver.settings import Site

RULES = """\
mailbox imap = maildir "~/Maildir"
inbox = imap
if duplicate within 1d: discard
if subject is "sent": file to imap/Sent
"""
CASES = 'required\nmessage "all is kept":\n    Subject: x\nkeeps\n'


class Home:
    """Somebody who has all state files that deliveries write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / ".local" / "state" / "mdeliver"
        self.site = Site(hostname="host", syslog="")
        self.delivered = 0
        rules = path / ".config" / "mdeliver" / "rules"
        rules.parent.mkdir(parents=True)
        self.state.mkdir(parents=True)
        for file, text in ((rules, RULES), (rules.with_name("rules.cases"), CASES)):
            file.write_text(text)
            file.chmod(0o600)
        for _message in range(3):
            assert self.deliver() == "delivered"
        (self.state / SENT_COPIES).write_text(f"9999999999 aa {path}/Maildir/.Sent\n")

    def deliver(self) -> str:
        """Deliver a new message as a process of its own would; its fate."""
        self.delivered += 1
        envelope = Envelope("ann", str(self.path), os.geteuid(), recipient="ann@example.org")
        cache = RulesCache(envelope, None, {}, self.site)
        program = agent.program_for(cache, envelope, None, self.site)
        assert not isinstance(program, Outcome)
        letter = letter_of(b"Message-ID: <%d@a>\nSubject: x\n\nhi\n" % self.delivered)
        return agent.deliver_letter(program, letter, envelope, self.site, str(self.state)).fate

    def told(self) -> list[dict[str, Any]]:
        """What the decision log has of damaged files."""
        lines = [json.loads(line) for line in (self.state / "log").read_bytes().splitlines()]
        return [said for said in lines if "damaged" in said]

    def messages(self) -> int:
        return len(list(self.path.glob("Maildir/new/*")))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path)


def garbage(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n\xff\xfe not ours \x1b[2J\n" * 40)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zeros_behind(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4096))


def gigabytes(path: Path) -> None:
    os.truncate(path, 1 << 40)


WAYS = (garbage, zeros, zeros_behind, gigabytes)
FILES = ("journal", "memory", SENT_COPIES, acceptance.KEPT)


@pytest.mark.parametrize("spoil", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_a_delivery_succeeds_and_one_line_tells_of_the_file(
    home: Home, name: str, spoil: Callable[[Path], None]
) -> None:
    path = home.state / name
    spoil(path)
    with path.open("rb") as file:
        was = file.read(limits.DAMAGED_BYTES)
    for _message in range(3):
        assert home.deliver() == "delivered"
    assert home.messages() == 6
    (said,) = home.told()
    assert (said["damaged"], said["kept"]) == (str(path), f"{path}.damaged")
    assert said["text"].startswith(f"{path} was damaged: ")
    assert said["text"].endswith(f" can be looked at in {path}.damaged")
    kept = Path(said["kept"]).read_bytes()
    # Without a record that was cut; a journal has the line of that very delivery besides.
    assert kept.startswith(was[:-40])
    assert path.stat().st_size < 1 << 20


@pytest.mark.parametrize("name", FILES)
def test_it_is_told_by_the_delivery_that_has_found_it(home: Home, name: str) -> None:
    """Each direct delivery is a process of its own: the next one knows of nothing."""
    garbage(home.state / name)
    home.deliver()
    assert len(home.told()) == 1


def test_what_is_remembered_stays_where_something_has_made_the_file_huge(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    first, last = name_of(b"first"), name_of(b"last")
    memory.remember(DELIVERED, first)
    gigabytes(tmp_path / "memory")
    memory.remember(DELIVERED, last)
    assert all(memory.holds(DELIVERED, name, 60) for name in (first, last))
    memory.close()


@pytest.mark.parametrize("name", ["journal", "memory", SENT_COPIES])
def test_what_a_kill_leaves_is_no_damage(home: Home, name: str) -> None:
    path = home.state / name
    octets = path.read_bytes()
    for cut in range(1, min(len(octets), 120), 7):
        path.write_bytes(octets[:-cut])
        assert home.deliver() == "delivered"
        path.write_bytes(octets)
    assert home.told() == []
    assert not list(home.state.glob("*.damaged"))


@pytest.mark.parametrize("name", FILES)
def test_what_is_whole_stays(home: Home, name: str) -> None:
    for _message in range(2):
        home.deliver()
    assert home.told() == []


def test_lines_of_a_journal_that_are_whole_stay_when_others_are_taken_out(tmp_path: Path) -> None:
    keys = [message_key(b"%d" % number) for number in range(3)]
    for key in keys:
        journal = Journal(str(tmp_path), key)
        journal.begin(b"", b"From a\n", [("maildir", "/m", "/m", "", "n", "")], ".")
        journal.close()
    path = tmp_path / "journal"
    first, second, third = path.read_bytes().split(b"\n\n")
    spoilt = b"\n\n".join([first, second.replace(b"/m", b"/n"), bytes(100), third])
    path.write_bytes(spoilt)
    Journal(str(tmp_path), message_key(b"a delivery")).close()
    (found,) = damage.taken(str(tmp_path))
    assert found.what == f"{len(second) + 100} octets of it were no lines of a journal"
    assert Path(found.kept).read_bytes() == spoilt
    journal = Journal(str(tmp_path), keys[0])
    assert [journal._file.about(key) is not None for key in keys] == [True, False, True]
    journal.close()
    assert damage.taken(str(tmp_path)) == []


@pytest.mark.parametrize("spoil", WAYS)
def test_a_journal_that_is_kept_open_is_mended_between_rounds(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    kept = KeptJournal(str(tmp_path))
    path = tmp_path / "journal"
    journal = Journal(str(tmp_path), message_key(b"one"), kept)
    journal.begin(b"", b"From a\n", [("maildir", "/m", "/m", "", "n", "")], ".")
    journal.close()
    kept.close()
    spoil(path)
    kept.look()
    for number in range(3):
        journal = Journal(str(tmp_path), message_key(b"later %d" % number), kept)
        journal.begin(b"", b"From a\n", [("maildir", "/m", "/m", "", "n", "")], ".")
        journal.close()
        kept.rest()
        kept.look()
    journal = Journal(str(tmp_path), message_key(b"later 0"), kept)
    assert journal.earlier() is not None
    journal.close()
    kept.close()
    assert [found.path for found in damage.taken(str(tmp_path))] == [str(path)]


def test_a_journal_that_somebody_has_open_is_left_to_a_later_delivery(tmp_path: Path) -> None:
    Journal(str(tmp_path), message_key(b"one")).close()
    path = tmp_path / "journal"
    garbage(path)
    theirs = Journal(str(tmp_path), message_key(b"theirs"))
    ours = Journal(str(tmp_path), message_key(b"ours"))
    ours.close()
    assert damage.taken(str(tmp_path)) == []
    assert path.read_bytes().startswith(b"%PDF")
    theirs.close()
    assert len(damage.taken(str(tmp_path))) == 1


def test_what_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "memory.damaged").mkdir()
    memory = Memory(str(tmp_path))
    memory.remember(DELIVERED, name_of(b"one"))
    zeros(tmp_path / "memory")
    memory.remember(DELIVERED, name_of(b"other"))
    memory.close()
    (found,) = damage.taken(str(tmp_path))
    assert found.kept == ""
    assert found.text.endswith("; what it was could not be kept: Is a directory")


@pytest.mark.parametrize("name", FILES)
def test_where_it_cannot_be_mended_nothing_is_held_up_and_it_is_told_later(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    garbage(home.state / name)

    def full(path: str, octets: bytes, *, lasting: bool = True) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with monkeypatch.context() as patched:
        patched.setattr(durable, "replace", full)
        patched.setattr(filing, "_write", full)
        for _message in range(2):
            assert home.deliver() == "delivered"
        assert home.told() == []
    for _message in range(2):
        assert home.deliver() == "delivered"
    assert [said["damaged"] for said in home.told()] == [str(home.state / name)]


def test_syslog_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(bytes(80))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "syslog"))
        syslog.settimeout(60)
        damage.note(damage.kept(str(tmp_path / "memory"), "it was\nzeros", bytes(80), 80))
        tell(str(tmp_path), Site(syslog=str(tmp_path / "syslog"), log_decisions=False))
        said = syslog.recv(4096).decode()
    assert said.startswith("<20>")
    assert f"warning: {tmp_path}/memory was damaged: it was" in said
    assert "\n" not in said
    assert not (tmp_path / "log").exists()


# --- how it is shown ---------------------------------------------------------------------------


def shown(home: Home, *options: str) -> Any:
    arguments = ["--home", str(home.path), "--user", "ann", *options]
    return CliRunner().invoke(log_command, arguments)


def test_the_log_shows_it_among_the_deliveries(home: Home) -> None:
    garbage(home.state / "journal")
    home.deliver()
    home.deliver()
    lines = [line for line in shown(home).stdout.splitlines() if line[:1] not in ("", " ")]
    assert [line.split()[2].rstrip(":") for line in lines][-3:] == [
        "delivered",
        "damaged",
        "delivered",
    ]
    objects = [json.loads(line) for line in shown(home, "--json").stdout.splitlines()]
    assert sum("damaged" in said for said in objects) == 1
    assert "damaged" not in shown(home, "4@a").stdout


def test_the_log_says_how_many_of_its_own_lines_cannot_be_read(home: Home) -> None:
    path = home.state / "log"
    path.write_bytes(path.read_bytes() + bytes(30) + b"\ngarbage\n")
    said = shown(home)
    assert said.stderr == (
        f"mdeliver log: {path}: lines that cannot be read, and are left out: 2\n"
    )
    assert home.deliver() == "delivered"
    assert shown(home).stdout.count("delivered") >= 4


@pytest.mark.parametrize("name", ["time", "duration_s"])
@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1e999", "NaN"])
def test_a_number_of_the_log_that_is_no_time_is_left_out(
    home: Home, name: str, number: str
) -> None:
    path = home.state / "log"
    *_, line = path.read_text().splitlines()
    said = {**json.loads(line), name: 0, "message_id": "<spoilt@a>"}
    spoilt = json.dumps(said).replace(f'"{name}": 0', f'"{name}": {number}')
    damaged = '{"time": ' + number + ', "damaged": "/x", "kept": null, "text": "x"}'
    path.write_text(f"{line}\n{spoilt}\n{damaged if name == 'time' else ''}\n")
    result = shown(home)
    assert result.exit_code == 0, result.exception
    assert "spoilt" not in result.stdout
    assert result.stdout.count("damaged") == 0
