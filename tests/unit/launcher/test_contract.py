"""What the launcher passes on: 0 for "done", a rejection only with its line, else 75."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.launchers import DONE, KINDS, Kind, build, installation, session_directory
from tests.local8 import Answer

TEMPFAIL = 75
REJECTED = 77

Launch = Callable[..., Answer]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def launcher(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(kind, session_directory(tmp_path_factory))


@pytest.fixture
def launch(launcher: Path, tmp_path: Path) -> Launch:
    """launch(BODY of fused, *ARGUMENTS, stdin=…): the answer of one run."""

    def run(fused: str, *arguments: str, stdin: bytes = b"") -> Answer:
        command = installation(tmp_path / "prefix", launcher, fused)
        return answer([*command, *arguments], stdin)

    return run


def answer(
    command: list[str], stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Answer:
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "USER": "ann"} if environ is None else environ,
    )
    return Answer(done.returncode, done.stdout)


def report(line: str, status: int) -> str:
    """Body of an agent that reports LINE and ends with STATUS."""
    return f"os.write(1, {(chr(0) + line + chr(10)).encode()!r})\nos._exit({status})"


def assert_deferred(got: Answer) -> str:
    """GOT leaves the message in the queue, with one line that says so. Returns the line."""
    assert got.status == TEMPFAIL
    assert got.verdict == "deferred"
    text = got.output.decode()
    assert re.fullmatch(r"4\.\d+\.\d+ [^\n]+\n", text)
    return text.rstrip("\n")


def test_done_is_0_and_silent(launch: Launch) -> None:
    got = launch(f"print('5.1.1 noise', flush=True)\nos._exit({DONE})")
    assert got == Answer(0, b"")


@pytest.mark.parametrize("status", [0, 1, 2, 70, 71, 75, 76, 78, 99, 120, 126, 127, 255])
def test_every_other_status_defers(launch: Launch, status: int) -> None:
    line = assert_deferred(launch(f"os._exit({status})"))
    assert f"ended with status {status}" in line


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGALRM])
def test_a_killed_agent_defers_and_the_line_names_the_signal(
    launch: Launch, number: signal.Signals
) -> None:
    line = assert_deferred(launch(f"os.kill(os.getpid(), {int(number)})"))
    assert f"by signal {int(number)}" in line


def test_a_deferral_keeps_its_words(launch: Launch) -> None:
    got = launch(report("4.2.2 /home/ann/mbox: disk quota exceeded", TEMPFAIL))
    assert got == Answer(TEMPFAIL, b"4.2.2 /home/ann/mbox: disk quota exceeded\n")


def test_a_rejection_keeps_its_words(launch: Launch) -> None:
    got = launch(report("5.7.1 this is not from your domain", REJECTED))
    assert got == Answer(REJECTED, b"5.7.1 this is not from your domain\n")


@pytest.mark.parametrize(
    "line",
    [
        *("", "no code", "5", "5.", "5.7", "5.7.1", "5.7.1 ", "5.7. x", "5..1 x", "5.7.1x y"),
        *("5.7.1\tx", " 5.7.1 x", "55.7.1 x", "5.7777.1 x", "5.7.1111 x", "2.0.0 x", "6.0.0 x"),
        *("-5.7.1 x", "5,7,1 x", "4.7.1 x", "5.7.\u0661 x"),
    ],
)
def test_a_rejection_without_a_line_of_class_5_defers(launch: Launch, line: str) -> None:
    assert_deferred(launch(report(line, REJECTED)))


@pytest.mark.parametrize("status", [0, 1, 2, 75, 76, 78, 127])
def test_a_line_of_class_5_without_a_rejection_defers(launch: Launch, status: int) -> None:
    assert_deferred(launch(report("5.7.1 refused", status)))


def test_an_agent_killed_after_its_report_defers(launch: Launch) -> None:
    body = report("5.7.1 refused", 0).replace("os._exit(0)", "os.kill(os.getpid(), 9)")
    assert_deferred(launch(body))


@pytest.mark.parametrize("descriptor", [1, 2])
@pytest.mark.parametrize("status", [0, 1, 75, 77])
def test_noise_cannot_bounce(launch: Launch, descriptor: int, status: int) -> None:
    body = f"os.write({descriptor}, b'5.1.1 <ann>: unknown user\\n' * 3)\nos._exit({status})"
    line = assert_deferred(launch(body))
    assert line.endswith("5.1.1 <ann>: unknown user")


def test_noise_before_and_after_a_report_is_dropped(launch: Launch) -> None:
    body = "os.write(2, b'DeprecationWarning: x\\n')\n" + report("4.3.0 busy", TEMPFAIL)
    body = body.replace("os._exit", "os.write(1, b'5.0.0 after\\n')\nos._exit")
    assert launch(body) == Answer(TEMPFAIL, b"4.3.0 busy\n")


def test_a_flood_after_the_report_does_not_drown_it(launch: Launch) -> None:
    body = report("4.3.0 busy", TEMPFAIL)
    body = body.replace("os._exit", "os.write(1, b'5.0.0 after\\n' * 1000)\nos._exit")
    assert launch(body) == Answer(TEMPFAIL, b"4.3.0 busy\n")


@pytest.mark.parametrize(("status", "expected"), [(DONE, 0), (TEMPFAIL, 75), (REJECTED, 75)])
def test_noise_beyond_the_pipe_blocks_nobody(launch: Launch, status: int, expected: int) -> None:
    flood = (
        "for _ in range(4096):\n    try:\n        os.write(2, b'5.1.1 noise ' * 80 + b'\\n')\n"
        "    except BlockingIOError:\n        pass\n"
    )
    got = launch(f"{flood}os._exit({status})")
    assert got.status == expected
    assert got.verdict in ("sent", "deferred")


def test_a_long_line_is_cut_and_control_characters_are_replaced(launch: Launch) -> None:
    got = launch(report("4.3.0 a\r\tb\x1b[2J\x7f" + "ü" * 4000, TEMPFAIL))
    assert got.status == TEMPFAIL
    assert got.output.startswith(b"4.3.0 a??b?[2J?" + "ü".encode())
    assert len(got.output) == 1001
    assert got.output.count(b"\n") == 1


def test_a_grandchild_that_holds_the_pipe_holds_up_nothing(launch: Launch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = f"if os.fork() == 0:\n    open({str(gate)!r}).read()\n    os._exit(0)\n"
    assert launch(body + report("4.3.0 busy", TEMPFAIL)) == Answer(TEMPFAIL, b"4.3.0 busy\n")
    gate.write_text("")  # the grandchild waits here for a writer, and may go


def test_standard_input_arguments_and_environment_reach_the_agent(
    launch: Launch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    body = (
        f"with open({str(seen)!r}, 'w') as f:\n"
        "    print(argv, os.read(0, 99), os.environ['USER'], len(os.environ), file=f)\n"
        f"os._exit({DONE})"
    )
    got = launch(body, "--user", "ann ü", "", stdin=b"From a\n\0\xff")
    assert got == Answer(0, b"")
    arguments = ["deliver", "--user", "ann ü", ""]
    assert seen.read_text().startswith(f"{arguments} {b'From a' + bytes((10, 0, 255))!r} ann")


def test_a_flood_of_arguments_never_bounces(kind: Kind, launch: Launch) -> None:
    got = launch(f"os._exit({DONE})", *["x"] * 300)
    if kind == "script":
        assert got == Answer(0, b"")
    else:
        assert "too many arguments" in assert_deferred(got)


# --- what may be wrong with an installation --------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('5.1.1 x\\n5.1.1 y')", "ValueError: 5.1.1 x"),
        ("sys.exit(0)", "SystemExit"),
        ("sys.exit(77)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise MemoryError", "MemoryError"),
        ("def again(): again()\nagain()", "RecursionError"),
        ("return None", "ended with status 75"),
        ("raise ValueError('\\udcff')", "ValueError"),
    ],
)
def test_an_exception_defers_and_is_named(launch: Launch, body: str, words: str) -> None:
    line = assert_deferred(launch(body))
    assert words in line


def test_a_syntax_error_in_the_package_defers(launch: Launch) -> None:
    assert "SyntaxError" in assert_deferred(launch("this is no Python"))


def test_no_interpreter_defers(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, "pass")
    python = tmp_path / "prefix/bin/python3"
    python.unlink()
    got = answer(command)
    assert got.status == TEMPFAIL
    assert got.verdict == "deferred"
    assert str(python).encode() in got.output


def test_an_interpreter_that_cannot_run_defers(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, "pass")
    python = tmp_path / "prefix/bin/python3"
    python.unlink()
    python.write_text("#!/no/such/interpreter\n")
    python.chmod(0o755)
    got = answer(command)
    assert got.status == TEMPFAIL
    assert got.verdict == "deferred"


def test_no_package_defers(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, "pass", packages="elsewhere")
    assert "No module named 'mdeliver'" in assert_deferred(answer(command))


@pytest.mark.parametrize("packages", ["lib/python3/dist-packages", "lib64/{}/site-packages"])
def test_other_places_of_the_package(launcher: Path, tmp_path: Path, packages: str) -> None:
    packages = packages.format("python{}.{}".format(*sys.version_info))
    command = installation(tmp_path / "p", launcher, f"os._exit({DONE})", packages=packages)
    assert answer(command) == Answer(0, b"")


def test_a_symbolic_link_finds_the_installation(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, f"os._exit({DONE})")
    link = tmp_path / "mdeliver-lda"
    link.symlink_to(command[0])
    assert answer([str(link)]) == Answer(0, b"")


# --- what the caller may leave behind --------------------------------------------------------


def through_shell(command: list[str], redirections: str) -> Answer:
    return answer(["/bin/sh", "-c", f'exec "$0" "$@" {redirections}', *command], b"message")


def test_a_closed_standard_input_defers(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, f"os._exit({DONE})")
    assert "standard input is closed" in assert_deferred(through_shell(command, "<&-"))


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs_do_not_matter(launcher: Path, tmp_path: Path, redirections: str) -> None:
    # The agent's next descriptor must not be 1 or 2, or a stray print would go into a mailbox.
    body = f"os._exit({DONE} if os.open('/dev/null', os.O_RDONLY) > 2 else 1)"
    command = installation(tmp_path / "prefix", launcher, body)
    assert through_shell(command, redirections).status == 0


def test_nobody_reads_the_output(launcher: Path, tmp_path: Path) -> None:
    command = installation(tmp_path / "prefix", launcher, report("5.7.1 no", REJECTED))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, timeout=120, check=False
    )
    os.close(writing)
    assert done.returncode == REJECTED


def test_ignored_and_blocked_signals_are_put_right(launcher: Path, tmp_path: Path) -> None:
    body = (
        "import signal\n"
        "plain = signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL\n"
        f"os._exit({DONE} if plain and not signal.pthread_sigmask(signal.SIG_BLOCK, ()) else 1)"
    )
    command = installation(tmp_path / "prefix", launcher, body)
    spoil = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGCHLD})\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    assert answer([sys.executable, "-c", spoil, *command]) == Answer(0, b"")


# --- time ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_agent_that_never_ends_is_ended(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    limited = build(kind, session_directory(tmp_path_factory), "AGENT_LIMIT_S=1")
    command = installation(tmp_path / "prefix", limited, "while True: pass")
    line = assert_deferred(answer(command))
    assert f"by signal {int(signal.SIGALRM)}" in line


@pytest.mark.slow
def test_a_launcher_whose_agent_cannot_be_ended_ends_itself(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    limited = build(kind, session_directory(tmp_path_factory), "FUSE_LIMIT_S=1")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = installation(tmp_path / "prefix", limited, f"open({str(gate)!r}).read()")
    got = answer(command)
    assert got.verdict == "deferred"
    assert got.status in (-signal.SIGALRM, TEMPFAIL)
    gate.write_text("")
