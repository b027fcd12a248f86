"""Programs that rules name, run by the installed agent as Postfix would start it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.installation import LDA
from tests.local8 import as_handed_over, identity
from tests.processes.conftest import MESSAGE, Home, deferral
from tests.waiting import wait_for

LARGE = b"Subject: large\n\n" + b"0123456789abcde\n" * (10 << 16)


def script(home: Home, name: str, text: str) -> str:
    """A program of the recipient's in home."""
    path = home.path / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    home.give(path)
    return f"~/{name}"


def given(home: Home, name: str = "given") -> bytes:
    path = home.path / name
    return path.read_bytes() if path.exists() else b""


def nothing_is_left(home: Home) -> bool:
    """Whether neither locks nor what filters made outlived the delivery."""
    state = home.path / ".local" / "state" / "mdeliver"
    kept = [*(state / "filtered").glob("*")] if (state / "filtered").exists() else []
    return not kept and not (home.path / "mbox.lock").exists()


def test_a_message_goes_through_a_filter_into_both_places_and_a_program(either: Home) -> None:
    home = either
    script(home, "take", 'cat >given; echo "$1|$SENDER|$(pwd)|$LD_PRELOAD" >>given')
    home.write_rules(
        'filter through "sed" "s/hello/HELLO/"\n'
        'also pipe to "~/take" "--" "{subject}"\n'
        'run "touch" "ran"\n'
    )
    answer = home.deliver(LD_PRELOAD="")
    assert answer.verdict == "sent", answer
    filtered = as_handed_over(MESSAGE, home.person).replace(b"hello", b"HELLO")
    assert home.in_mbox() == home.in_maildir() == [filtered]
    assert given(home) == filtered + f"--|sender@example.net|{home.path}|\n".encode()
    assert given(home, "ran") == b""
    assert nothing_is_left(home)


@pytest.mark.parametrize(
    "text",
    ["exit 1", "cat; exit 1", "exit 75", "kill -9 $$", ":", "echo Error; cat", "echo X: y",
     "head -c 100000000 /dev/zero | tr '\\0' x"],
)  # fmt: skip
def test_a_filter_that_fails_changes_nothing(home: Home, text: str) -> None:
    home.write_rules(f'filter through "{script(home, "bad", text)}"\n')
    assert home.deliver().verdict == "sent"
    assert home.holds_once()
    assert nothing_is_left(home)


def test_a_missing_filter_changes_nothing(home: Home) -> None:
    home.write_rules('filter through "no-such-program"\n')
    assert home.deliver().verdict == "sent"
    assert home.holds_once()


def test_ten_megabytes_through_everything(home: Home) -> None:
    script(home, "take", "cat >given")
    home.write_rules(
        'if program "grep" "-q" "^Subject: large" succeeds:\n'
        '    filter through "tr" "5" "6"\n'
        'also pipe to "~/take"\n'
        'run "true"\n'
    )
    assert home.deliver(LARGE).verdict == "sent"
    filtered = as_handed_over(LARGE, home.person).translate(bytes.maketrans(b"5", b"6"))
    assert home.in_mbox() == home.in_maildir() == [given(home)] == [filtered]
    assert nothing_is_left(home)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo no room >&2; echo more >&2; exit 1", "exit status 1: no room"),
        ("exit 75", "exit status 75"),
        ("exit 99", "exit status 99"),
        ("kill -9 $$", "killed by signal 9"),
        ("echo '5.7.1 go away' >&2; exit 77", "exit status 77: 5.7.1 go away"),
    ],
)
def test_a_pipe_that_fails_defers_and_leaves_nothing(home: Home, text: str, words: str) -> None:
    home.write_rules(f'also pipe to "{script(home, "bad", text)}"\nrun "touch" "ran"\n')
    assert deferral(home.deliver()) == f'4.3.0 program "~/bad": {words}\n'
    assert home.is_empty
    assert not (home.path / "ran").exists()


def test_a_missing_program_defers(home: Home) -> None:
    home.write_rules('pipe to "~/no-such-program"\n')
    assert "No such file or directory" in deferral(home.deliver())


def test_a_pipe_that_recovers_is_given_the_message_once(home: Home) -> None:
    script(home, "take", "test -e ready || exit 1; cat >>given")
    home.write_rules('filter through "sed" "s/hello/HELLO/"\nalso pipe to "~/take"\n')
    deferral(home.deliver())
    (home.path / "ready").touch()
    for at in (1_700_000_100, 1_700_000_200):
        assert home.deliver(at=at).verdict == "sent"
    filtered = as_handed_over(MESSAGE, home.person).replace(b"hello", b"HELLO")
    assert home.in_mbox() == home.in_maildir() == [given(home)] == [filtered]
    assert nothing_is_left(home)


def test_a_program_that_reads_nothing_and_one_that_stays(home: Home) -> None:
    script(home, "daemon", "sleep 600 & echo $! >daemon.pid")
    home.write_rules('also pipe to "true"\nalso pipe to "~/daemon"\n')
    assert home.deliver(LARGE).verdict == "sent"
    pid = int(given(home, "daemon.pid"))
    try:
        assert Path(f"/proc/{pid}").exists()
        assert len(home.in_maildir()) == 1
    finally:
        os.kill(pid, 9)


def test_what_has_no_say_fails_quietly(home: Home) -> None:
    home.write_rules('run "false"\nrun "no-such-program"\nrun "touch" "ran"\n')
    assert home.deliver().verdict == "sent"
    assert home.holds_once()
    assert (home.path / "ran").exists()


@pytest.mark.parametrize(
    ("program", "folder"), [('"true"', ".Yes"), ('"false"', ".No"), ('"sh" "-c" "exit 2"', ".No")]
)
def test_what_a_program_says(home: Home, program: str, folder: str) -> None:
    home.write_rules(f"if program {program} succeeds: file to imap/Yes\nfile to imap/No\n")
    assert home.deliver().verdict == "sent"
    assert len(home.in_maildir(folder)) == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ('"sh" "-c" "echo busy >&2; exit 75"', "exit status 75: busy"),
        ('"sh" "-c" "kill -9 $$$$"', "killed by signal 9"),
        ('"no-such-program"', "not found in"),
    ],
)
def test_what_a_program_cannot_say_yet_defers(home: Home, program: str, words: str) -> None:
    program = program.replace("$$$$", "$$")
    home.write_rules(f"if program {program} succeeds: discard\n")
    line = deferral(home.deliver())
    assert words in line
    assert "rules:4" in line
    assert home.is_empty


def test_a_program_dies_with_the_agent_at_the_deadline(home: Home) -> None:
    """The agent is told to end at once; what it runs has its own group and is ended by it."""
    script(home, "hang", "echo $$ >hang.pid; exec sleep 300")
    home.write_rules('also pipe to "~/hang"\n')
    with subprocess.Popen(
        home.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=home.environ,
        cwd="/",
        **identity(home.person),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(home.handed())
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: given(home, "hang.pid").endswith(b"\n"), "the program to begin")
        pid = int(given(home, "hang.pid"))
        agent = int(Path(f"/proc/{pid}/status").read_text().split("PPid:\t")[1].split()[0])
        # SIGALRM is how the agent's own deadline comes.
        os.kill(agent, 14)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 75, output
    assert output.startswith(b"4.3.0 the delivery took"), output
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the program to end")
    assert home.is_empty


def test_the_dry_run_says_what_the_delivery_does(home: Home) -> None:
    home.write_rules(
        'filter through "sed" "s/hello/HELLO/"\n'
        'if subject is exactly "HELLO": file to imap/Filtered\n'
    )
    message = home.path / "message"
    message.write_bytes(home.handed())
    home.give(message)
    shown = subprocess.run(
        [str(LDA.parent / "mdeliver"), "test", "--run-programs", "--json", str(message)],
        env=home.environ,
        cwd=home.path,
        capture_output=True,
        check=True,
        **identity(home.person),
    )
    decided = json.loads(shown.stdout)
    (filed,) = [action for action in decided["actions"] if action["action"] == "file"]
    assert home.deliver().verdict == "sent"
    assert len([*Path(filed["path"]).glob("new/*")]) == 1
