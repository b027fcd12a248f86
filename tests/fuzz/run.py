"""Runs each target in a process of its own, under libFuzzer by way of atheris.

What is found goes to tests/cases/fuzz/TARGET/: octets that raised, that took longer than TIMEOUT_S,
or that took more memory than MEMORY_MB. The corpus in .fuzz/TARGET grows from run to run.

See also  targets.py; tests/properties/test_fuzz.py, which replays what was found
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.target import FOUND, TESTS

CORPUS = TESTS.parent / ".fuzz"
TIMEOUT_S = 10
"""For one input of at most LENGTH octets, with every branch counted: some ten times slower."""

MEMORY_MB = 2048
LENGTH = 8192

_COUNTED = ("mdeliver", "dkim", "spf")
"""Packages whose branches guide the search: ours, and those that read signatures and SPF for us."""

_CHILD = "--one"


class Ran(NamedTuple):
    """What became of one target in one round."""

    inputs: int
    coverage: int
    found: Path | None


def main(arguments: list[str]) -> int:
    """Fuzz; the number of targets that broke."""
    if arguments[:1] == [_CHILD]:
        _fuzz(arguments[1], arguments[2:])
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), default=[])
    parser.add_argument("--list", action="store_true", help="name the targets")
    options = parser.parse_args(arguments)
    if options.list:
        _say("\n".join(TARGETS))
        return 0
    names = options.target or list(TARGETS)
    share_s = max(5, int(options.seconds / len(names)))
    broken = 0
    _say(f"{'target':15} {'inputs':>9} {'branches':>9}  found")
    for name in names:
        ran = run(name, share_s)
        broken += ran.found is not None
        told = ran.found.relative_to(TESTS.parent) if ran.found else "nothing"
        _say(f"{name:15} {ran.inputs:>9} {ran.coverage:>9}  {told}")
    return broken


def run(name: str, seconds: int) -> Ran:
    """Fuzz the target NAME for SECONDS, or until it breaks."""
    from tests.fuzz.targets import TARGETS

    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mdeliver-fuzz-") as scratch:
        seeds = Path(scratch, "seeds")
        seeds.mkdir()
        for number, octets in enumerate(TARGETS[name].seeds()):
            (seeds / str(number)).write_bytes(octets)
        words_of = TARGETS[name].words
        words = Path(scratch, "words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in set(words_of) if word))
        command = [
            *(sys.executable, "-m", "tests.fuzz", _CHILD, name),
            *(f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}"),
            *(f"-artifact_prefix={scratch}/broke-", f"-dict={words}", f"-max_len={LENGTH}"),
            *("-print_final_stats=1", "-use_value_profile=1", str(corpus), str(seeds)),
        ]
        log = Path(scratch, "log")
        with log.open("wb") as output:
            status = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=TESTS.parent, check=False
            ).returncode
        said = log.read_text("utf-8", "replace")
        broke = next(Path(scratch).glob("broke-*"), None)
        found = _keep(name, broke, said) if broke else None
        if status and not found:
            raise RuntimeError(f"the fuzzer of {name} ended with {status}:\n{said[-3000:]}")
    inputs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said)
    coverage = re.findall(r"\bcov: (\d+)", said)
    return Ran(int(inputs[-1]) if inputs else 0, int(coverage[-1]) if coverage else 0, found)


def _keep(name: str, broke: Path, said: str) -> Path:
    """Make a case of the input BROKE; what the fuzzer SAID of it is shown."""
    directory = FOUND / name
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / f"{time.strftime('%Y%m%d')}-{broke.name.rpartition('-')[2][:8]}"
    shutil.copy(broke, kept)
    start = re.search(r"=== Uncaught Python exception|ERROR: libFuzzer", said)
    _say(said[start.start() if start else 0 :][:4000])
    return kept


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


def _fuzz(name: str, options: list[str]) -> None:
    """Be the fuzzer of the target NAME; does not return."""
    try:
        import atheris
    except ImportError:
        sys.exit("the fuzzer needs atheris: make fuzz installs it")
    os.environ["TZ"] = "UTC"
    # To the end: much is imported only by the first input that needs it.
    with atheris.instrument_imports(include=list(_COUNTED), enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

        atheris.Setup([sys.argv[0], *options], _disarming(TARGETS[name].attack))
        atheris.Fuzz()


def _disarming(attack: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """ATTACK, and where that raises, no alarm any more.

    Python gives up libFuzzer's handler as it ends, before the fuzzer has written down what it was:
    the alarm for inputs that take too long would end it then.
    """

    def attacked(octets: bytes) -> None:
        try:
            attack(octets)
        except BaseException:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise

    return attacked
