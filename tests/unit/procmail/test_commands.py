"""Programs that get a part of the message, and shells: what they do when they are run."""

from __future__ import annotations

import subprocess

import pytest

from mdeliver.procmail.commands import Commands, bare_command, unwrapped
from mdeliver.procmail.symbols import Symbols
from mdeliver.procmail.wording import Unsayable, ref

MESSAGE = b"Subject: x\nTo: ann\n\nbody one\n\nbody two\n"


def _run(argv: list[str]) -> bytes:
    return subprocess.run(argv, input=MESSAGE, capture_output=True, check=True).stdout


def _commands(*, by_shell: bool = False, **variables: str) -> Commands:
    symbols = Symbols()
    symbols.values |= variables
    return Commands(symbols, by_shell)


@pytest.mark.parametrize(
    ("part", "filters", "made"),
    [
        ("head", False, b"SUBJECT: X\nTO: ANN\n\n"),
        ("body", False, b"BODY ONE\n\nBODY TWO\n"),
        ("head", True, b"SUBJECT: X\nTO: ANN\n\nbody one\n\nbody two\n"),
        ("body", True, b"Subject: x\nTo: ann\n\nBODY ONE\n\nBODY TWO\n"),
    ],
)
@pytest.mark.parametrize("command", ["tr a-z A-Z", "tr a-z A-Z | cat"])
def test_a_part_of_the_message(part: str, filters: bool, made: bytes, command: str) -> None:
    argv = _commands(by_shell=True).program(command, part, filters=filters)
    assert _run(argv) == made


def test_no_shell_reads_the_arguments() -> None:
    argv = _commands().program("printf %s 'a; date'", "body")
    assert _run(argv) == b"a; date"


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_filter_that_fails_fails(part: str) -> None:
    argv = _commands().program("false", part, filters=True)
    assert subprocess.run(argv, input=MESSAGE, capture_output=True, check=False).returncode == 1


def test_a_shell_only_where_it_is_allowed() -> None:
    with pytest.raises(Unsayable, match="shell"):
        _commands().program("cat | cat")


def test_a_shell_finds_its_variables_and_its_directory() -> None:
    argv = _commands(by_shell=True, X="a b", MAILDIR=ref("home") + "/Mail/").program(
        "echo $X >>log"
    )
    assert argv == ["sh", "-c", "cd ~/Mail && X='a b'; echo $X >>log"]
    assert bare_command(argv[2]) == "echo $X >>log"


def test_what_a_message_says_is_never_a_shells_to_read() -> None:
    argv = _commands(by_shell=True, X=ref("1")).program("echo $X | cat")
    assert argv == ["env", f"X={ref('1')}", "sh", "-c", "echo $X | cat"]


def test_what_a_program_prints() -> None:
    asked = _commands()
    for expression, status in (("FO+$", 0), ("^bar", 1)):
        argv = asked.output_matches("echo a foo", expression, False)
        assert subprocess.run(argv, input=b"", check=False).returncode == status


@pytest.mark.parametrize("part", ["head", "body", ""])
@pytest.mark.parametrize("command", ["prog a", "prog | cat"])
def test_a_wrapped_program_is_recognised(part: str, command: str) -> None:
    argv = tuple(_commands(by_shell=True).program(command, part))
    inner = ("sh", "-c", command) if "|" in command else tuple(command.split())
    assert unwrapped(argv) == (inner, part)
