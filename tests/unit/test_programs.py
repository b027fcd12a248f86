"""Programs: what they are given, how their end is told, and that none can hold us up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mdeliver import limits, system
from mdeliver.attendance import TOO_MUCH
from mdeliver.envelope import Envelope, SentTag
from mdeliver.programs import PATH, Ended, environment_of, run_program
from tests.waiting import wait_for

MESSAGE = b"Subject: hello\n\nHow are you?\n"


class Bench:
    """A home, and programs run in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.envelope = Envelope(
            "ann",
            str(home),
            os.geteuid(),
            sender="bob@example.net",
            recipient="ann+lists@example.org",
            original_recipient="Ann+Lists@example.org",
            extension="lists",
            domain="example.org",
            client_helo="$(reboot) ü",
        )
        self.output = b""
        self.room = 1 << 30

    def run(self, *argv: str, message: bytes = MESSAGE, output: bool = True) -> Ended:
        self.output = b""
        return run_program(
            argv, [message], self.envelope, str(self.home), self._take if output else None
        )

    def sh(self, script: str, message: bytes = MESSAGE) -> Ended:
        return self.run("sh", "-c", script, message=message)

    def _take(self, piece: bytes) -> bool:
        self.output += piece
        return len(self.output) <= self.room


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=["as it is", "an older kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without pidfd_open."""
    if request.param == "an older kernel":

        def refuse(_pid: int) -> int:
            raise OSError(errno.ENOSYS, "no such system call")

        monkeypatch.setattr(system, "pidfd_open", refuse)


# --- what it is given ------------------------------------------------------------------------


@pytest.mark.usefixtures("kernel")
def test_the_message_is_its_standard_input(bench: Bench) -> None:
    assert bench.run("cat") == Ended(0, "exit status 0", "")
    assert bench.output == MESSAGE


@pytest.mark.usefixtures("kernel")
def test_ten_megabytes_go_through(bench: Bench) -> None:
    message = b"0123456789abcde\n" * (10 << 16)
    assert bench.run("cat", message=message).status == 0
    assert bench.output == message


def test_a_large_message_does_not_stay_in_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMORY_BYTES", 10)
    assert bench.sh("readlink /proc/self/fd/0; cat", message=b"x" * 11).status == 0
    where, _, rest = bench.output.partition(b"\n")
    assert where.startswith(os.fsencode(bench.home))
    assert rest == b"x" * 11
    assert list(bench.home.iterdir()) == []


@pytest.mark.usefixtures("kernel")
def test_who_does_not_read_is_not_waited_for(bench: Bench) -> None:
    assert bench.run("true", message=b"x" * (10 << 20)).status == 0


def test_arguments_are_no_shell_words(bench: Bench) -> None:
    bench.run("printf", "%s|", "a b", "$HOME", "`id`", "", "*", "ü\n")
    assert bench.output == "a b|$HOME|`id`||*|ü\n|".encode()


def test_what_a_message_brings_into_an_argument_cannot_keep_it_from_running(bench: Bench) -> None:
    assert bench.run("printf", "%s", "a\0b", "x" * 1_000_000, "\ud800").status == 0
    assert bench.output == b"ab" + b"x" * limits.ARGUMENT_BYTES + b"?"


def test_it_runs_in_home(bench: Bench) -> None:
    bench.run("pwd")
    assert bench.output.decode().strip() == str(bench.home)


def test_it_has_no_descriptor_of_ours(bench: Bench) -> None:
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        # ls has one open for the directory that it lists.
        bench.run("ls", "/proc/self/fd")
    finally:
        os.close(inherited)
    assert bench.output.split() == [b"0", b"1", b"2", b"3"]


def test_its_signals_are_as_anybody_would_have_them(bench: Bench) -> None:
    bench.run("cat", "/proc/self/status")
    masks = dict(line.split(b":\t") for line in bench.output.splitlines() if b"Sig" in line[:3])
    # 32 and 33 are the C library's own: nobody can set them, and what started us may ignore them.
    reserved = 3 << 31
    for name in (b"SigBlk", b"SigIgn", b"SigCgt"):
        assert int(masks[name], 16) & ~reserved == 0, (name, masks[name])


def test_it_leaves_no_core_and_has_a_group_of_its_own(bench: Bench) -> None:
    bench.sh("ulimit -c; ps -o pgid= -p $$; echo $$")
    core, group, pid = bench.output.split()
    assert core == b"0"
    assert group == pid


def test_its_environment_is_ours_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    monkeypatch.setenv("TZ", "Europe/Vienna")
    bench.run("env", "-0")
    seen = dict(word.split("=", 1) for word in bench.output.decode().split("\0") if word)
    assert seen == {
        "HOME": str(bench.home),
        "USER": "ann",
        "LOGNAME": "ann",
        "SHELL": "/bin/sh",
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "TZ": "Europe/Vienna",
        "SENDER": "bob@example.net",
        "RECIPIENT": "ann+lists@example.org",
        "ORIGINAL_RECIPIENT": "Ann+Lists@example.org",
        "LOCAL": "ann+lists",
        "EXTENSION": "lists",
        "DOMAIN": "example.org",
        "CLIENT_HELO": "__reboot___",
    }


def test_the_secret_of_a_sent_address_is_no_programs_business(bench: Bench) -> None:
    tagged = bench.envelope.replace(
        recipient="ann+sent-0aBc@example.org",
        original_recipient="Ann+Sent-0ABC@example.org",
        extension="sent-0aBc",
        sent_tag=SentTag("0abc", True, True, ""),
    )
    environ = environment_of(tagged)
    assert environ["RECIPIENT"] == "ann+sent-@example.org"
    assert environ["LOCAL"] == "ann+sent-"
    assert not [value for value in environ.values() if "0abc" in value.lower()]


def test_the_null_sender_is_empty_and_set(bench: Bench) -> None:
    assert environment_of(bench.envelope.replace(sender=""))["SENDER"] == ""


# --- its name --------------------------------------------------------------------------------


def test_a_name_may_begin_with_home(bench: Bench) -> None:
    program = bench.home / "my program"
    program.write_text('#!/bin/sh\necho "$0"\n')
    program.chmod(0o700)
    assert bench.run("~/my program").status == 0
    assert bench.output.decode().strip() == str(program)


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "~/no-such-program"])
def test_a_missing_program_has_no_answer(bench: Bench, name: str) -> None:
    ended = bench.run(name)
    assert ended.status == 127
    assert ended.knows_later
    assert "not found" in ended.words or "No such file or directory" in ended.words


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("#!/bin/sh\n", 0o600, "Permission denied"),
        ("exit 0\n", 0o700, "it is no program"),
        ("#!/no/such/shell\n", 0o700, "the program that its first line names does not exist"),
    ],
)
def test_a_program_that_cannot_be_run_says_why(
    bench: Bench, text: str, mode: int, words: str
) -> None:
    program = bench.home / "program"
    program.write_text(text)
    program.chmod(mode)
    ended = bench.run(str(program))
    assert ended.knows_later
    assert f"{program}: {words}" in ended.said


def test_a_home_that_went_is_told(bench: Bench) -> None:
    envelope = bench.envelope.replace(home=str(bench.home / "gone"))
    ended = run_program(("true",), [MESSAGE], envelope, None)
    assert ended.knows_later
    assert "gone: No such file or directory" in ended.said


# --- its end ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("script", "status", "how", "later"),
    [
        ("exit 0", 0, "exit status 0", False),
        ("exit 1", 1, "exit status 1", False),
        ("exit 75", 75, "exit status 75", True),
        ("exit 126", 126, "exit status 126", True),
        ("exit 127", 127, "exit status 127", True),
        ("kill -9 $$", None, "killed by signal 9", True),
        ("kill -15 $$", None, "killed by signal 15", True),
    ],
)
def test_how_it_ended(bench: Bench, script: str, status: int, how: str, later: bool) -> None:
    ended = bench.sh(script)
    assert (ended.status, ended.how, ended.knows_later) == (status, how, later)


def test_its_first_words_are_told(bench: Bench) -> None:
    ended = bench.sh("echo; printf 'no such \\377 table\\r\\nmore\\n' >&2; exit 3")
    assert ended.words == "exit status 3: no such � table"


def test_much_on_standard_error_is_no_harm(bench: Bench) -> None:
    ended = bench.sh("yes oh dear | head -c 1000000 >&2; exit 1")
    assert ended == Ended(1, "exit status 1", "oh dear")


def test_a_first_line_without_end_is_cut(bench: Bench) -> None:
    ended = bench.sh("yes | tr -d '\\n' | head -c 1000000 >&2")
    assert ended.said == "y" * limits.PROGRAM_WORDS


@pytest.mark.usefixtures("kernel")
def test_too_much_output_ends_it(bench: Bench) -> None:
    bench.room = 100_000
    assert bench.run("yes") == Ended(None, TOO_MUCH, "")
    assert len(bench.output) < 100_000 + limits.COPY_BYTES + 1


def _is_gone(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("script", ["sleep 600", "trap '' TERM; sleep 600 & wait; sleep 600"])
def test_a_hanging_program_is_ended_with_all_its_children(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(limits, "PROGRAM_GRACE_S", 0.2)
    for limit_s in (0.4, 4, 40):
        monkeypatch.setattr(limits, "PROGRAM_S", limit_s)
        ended = bench.sh(f"sleep 601 & echo $! $$; {script}")
        assert ended.words == f"still running after {limit_s} s"
        assert ended.knows_later
        if bench.output:
            break  # else a busy machine has not even begun
    pids = bench.output.decode().split()
    assert len(pids) == 2
    wait_for(lambda: all(_is_gone(pid) for pid in pids), "the group to end")


@pytest.mark.usefixtures("kernel")
def test_a_daemon_that_keeps_everything_open_is_left_alone(bench: Bench) -> None:
    ended = bench.sh("sleep 60 & echo $!; echo words >&2")
    pid = int(bench.output)
    try:
        assert ended == Ended(0, "exit status 0", "words")
        assert not _is_gone(str(pid))
    finally:
        os.kill(pid, 9)


def test_an_exception_ends_it_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of the delivery's own deadline."""
    pids: list[bytes] = []

    def take(piece: bytes) -> bool:
        pids.append(piece)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program(("sh", "-c", "echo $$; sleep 60"), [MESSAGE], bench.envelope, None, take)
    # At once: a worker lives on, and would have its dead for children as long as it does.
    with pytest.raises(ChildProcessError):
        os.waitpid(int(pids[0]), os.WNOHANG)


@pytest.mark.parametrize("call", ["pidfd_open", "set_blocking"])
def test_a_program_that_cannot_be_waited_for_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    children: list[int] = []
    fork = system.fork

    def noting() -> int:
        children.append(fork())
        return children[-1]

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(system, "fork", noting)
    monkeypatch.setattr(system, call, refuse)
    with pytest.raises(OSError, match="too many"):
        run_program(("sleep", "60"), [MESSAGE], bench.envelope, None)
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


@pytest.mark.parametrize("call", ["memfd_create", "pipe2", "fork", "open", "set_blocking"])
def test_what_is_missing_here_is_an_error_and_leaves_nothing_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(system, call, refuse)
    with pytest.raises(OSError, match="too many"):
        bench.run("true", output=False)
    assert set(os.listdir("/proc/self/fd")) <= before
