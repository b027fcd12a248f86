"""Large messages: memory stays flat, and nothing takes for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.local8 import from_line, identity
from tests.processes.conftest import Home

MIB = 1 << 20
# What a larger message may need beyond a small one: one buffer, the head, the allocator's slack.
BEYOND_KIB = 6 << 10


# What a process needs most counts what its parent had when it was forked, and a test runner has
# much: in between is one that has little.
MEASURED = """\
import os, resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
os.write(int(sys.argv[1]), b"%d" % used)
sys.exit(status)
"""


class Streamed(NamedTuple):
    status: int
    output: bytes
    maxrss_kib: int


def stream(home: Home, pieces: Iterator[bytes]) -> Streamed:
    """Deliver a message that is never whole in memory here; measure the largest process."""
    reading, writing = os.pipe()
    with (
        open(reading, "rb") as used,
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", MEASURED, str(writing), *home.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=home.environ,
            pass_fds=[writing],
            **identity(home.person),
        ) as process,
    ):
        os.close(writing)
        assert process.stdin is not None
        process.stdin.write(from_line())
        for piece in pieces:
            process.stdin.write(piece)
        output, _ = process.communicate()
        return Streamed(process.returncode, output, int(used.read()))


def letter(body_mib: int) -> Iterator[bytes]:
    yield b"Subject: large\n\n"
    for _ in range(body_mib):
        yield (b"x" * 63 + b"\n") * (MIB // 64)


def header_line(mib: int) -> Iterator[bytes]:
    yield b"Subject: "
    for _ in range(mib):
        yield b"y" * MIB
    yield b"\nTo: <ann@example.org>\n\nbody\n"


def sizes(home: Home) -> tuple[int, int]:
    """Sizes of the mbox and of the one message in the Maildir."""
    (message,) = (home.path / "Maildir" / "new").iterdir()
    return (home.path / "mbox").stat().st_size, message.stat().st_size


@pytest.mark.slow
def test_memory_does_not_grow_with_the_message(home: Home, either: Home) -> None:
    small = stream(home, letter(1))
    large = stream(Home(home.path.parent / "other", home.command), letter(64))
    assert small.status == large.status == 0, (small.output, large.output)
    assert large.maxrss_kib < small.maxrss_kib + BEYOND_KIB


@pytest.mark.slow
def test_a_header_line_of_100_mb_is_delivered_whole_and_not_kept_in_memory(home: Home) -> None:
    home.write_rules(
        'if subject contains "no such text" or any header contains "nor this":\n    discard\n'
    )
    small = stream(Home(home.path.parent / "other", home.command), letter(1))
    huge = stream(home, header_line(100))
    assert huge.status == 0, huge.output
    mbox, maildir = sizes(home)
    length = 100 * MIB + len(b"Subject: \nTo: <ann@example.org>\n\nbody\n")
    assert maildir == length
    assert mbox == length + len(from_line()) + 1
    # Tests see the first MiB of it, decoded, which takes some copies.
    assert huge.maxrss_kib < small.maxrss_kib + BEYOND_KIB + (16 << 10)


def test_little_memory_defers_what_does_not_fit(home: Home) -> None:
    """RLIMIT_AS, from what Python cannot start with to enough: 75 or done, never anything else."""
    answers = set()
    for mib in range(8, 72, 4):
        command = ["/usr/bin/prlimit", f"--as={mib * MIB}", *home.command]
        limited = Home(home.path.parent / f"limit{mib}", command)
        answer = limited.deliver()
        answers.add(answer.verdict)
        assert answer.verdict in ("sent", "deferred"), (mib, answer)
        assert limited.holds_once() if answer.verdict == "sent" else limited.is_empty, mib
    assert answers == {"sent", "deferred"}
