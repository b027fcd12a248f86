"""The command `mdeliver` itself: help, version, mistakes, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver import __version__
from mdeliver.cli import COMMANDS, main
from mdeliver.intake import OPTIONS

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="mdeliver")


def test_help_names_every_command_with_whole_words() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, _module in COMMANDS:
        assert f"\n  {name} " in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("name", [name for name, _module in COMMANDS])
def test_each_command_has_help_of_its_own(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: mdeliver {name} ")


def test_without_a_command_the_help_is_shown_and_the_status_says_so() -> None:
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("tset", "there is no command tset; did you mean test?"),
        ("chekc", "did you mean check?"),
        ("fetch", f"there is no command fetch; there are {', '.join(n for n, _ in COMMANDS)}."),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(word: str, hint: str) -> None:
    result = run(word, "x")
    assert result.exit_code == 2
    assert hint in result.stderr


def test_version_is_the_packages() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"mdeliver {__version__}\n")


def mdeliver(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`mdeliver` in a process of its own, through __main__."""
    program = "import sys; sys.argv[0] = 'mdeliver'; from mdeliver.__main__ import main; main()"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environ
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_of_deliver_is_not_a_delivery(word: str) -> None:
    done = mdeliver("deliver", word)
    assert (done.returncode, done.stderr) == (0, "")
    for name, value, _meaning in OPTIONS:
        assert f"--{name} {value}" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    done = mdeliver(_MDELIVER_COMPLETE=f"{shell}_source")
    if shell == "bash" and done.returncode:
        pytest.skip(f"no bash here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert "_MDELIVER_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mdeliver te", ["test"]),
        ("mdeliver de", ["demo", "deliver"]),
        ("mdeliver test --sen", ["--sender"]),
        ("mdeliver deliver --ho", ["--home"]),
    ],
)
def test_completion(line: str, offered: list[str]) -> None:
    cword = str(len(line.split()) - 1)
    done = mdeliver(_MDELIVER_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=cword)
    assert done.stdout.split() == [f"plain,{word}" for word in offered]
