"""The model of procmail against procmail itself: generated files and messages, octet for octet.

MDELIVER_TEST_PROCMAIL_RUNS asks for more runs than the few hundred of every test run.
See also test_procmailex.py for its manual's recipes, and for converted rules.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mdeliver.procmail.fate import Fate
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.pattern import parse_pattern
from tests import procmailoracle as oracle
from tests.procmailrules import Generator, expression

RUNS = int(os.environ.get("MDELIVER_TEST_PROCMAIL_RUNS", "400"))

# procmail sleeps a second before it writes to an mbox: many wait together.
AT_ONCE = 48

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _procmail() -> None:
    oracle.need_procmail()


Case = tuple[Path, str, bytes, Fate, oracle.Did]


def _case(directory: Path, rules: str, message: bytes) -> Case:
    """Rules and a message in a directory of their own, and what the model says of them."""
    directory.mkdir()
    oracle.prepare(directory)
    (directory / "dir").mkdir()
    (directory / "sub").mkdir()
    file = parse_procmailrc(oracle.preamble(directory) + rules, "rc")
    fate = run_procmailrc(file, message, oracle.world_in(directory))
    return directory, rules, message, fate, oracle.of_model(directory, fate)


def _same_again(tmp_path: Path, number: int, case: Case) -> bool:
    """Other looks, alone: on a loaded machine a program of procmail's may fail to start."""
    for look in range(oracle.LOOKS):
        again = _case(tmp_path / f"again{number}.{look}", case[1], case[2])
        if oracle.real(*again[:3]) == again[4]:
            return True
    return False


def test_the_same_deliveries_octet_for_octet(tmp_path: Path) -> None:
    generator = Generator(RUNS)
    cases = [_case(tmp_path / str(n), generator.rules(), generator.message()) for n in range(RUNS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda case: oracle.real(*case[:3]), cases))
    wrong = [
        f"{case[1]}\n{case[2].decode()}\nprocmail {real}\nmodel    {case[4]} {case[3].unknown}"
        for number, (case, real) in enumerate(zip(cases, results, strict=True))
        if real != case[4] and not _same_again(tmp_path, number, case)
    ]
    assert not wrong, f"{len(wrong)} of {RUNS} differ, the first:\n{wrong[0]}"


def _text(random_: random.Random) -> str:
    return "".join([random_.choice("aabbcABx-@._1  \n") for _ in range(random_.randint(0, 24))])


def _ask_procmail(directory: Path, message: bytes, asked: list[tuple[str, str]]) -> bytes:
    """Whether each (expression, flags) matches, and its MATCH, as lines of procmail's log."""
    rules = [f"LOGFILE={directory}/log\nVERBOSE=no\nLOGABSTRACT=no\nNL='\n'\n"]
    for number, (text, flags) in enumerate(asked):
        for flag, word in (("", "yes"), ("E", "no")):
            condition = f"* \\{text}\n" if not flag else ""
            before = "MATCH=none\n" if not flag else ""
            log = f'{{ LOG="<{number} {word} ($MATCH)>$NL" }}\n'
            rules.append(f"{before}:0{flags}{flag}\n{condition}{log}")
    rcfile = directory / "rc"
    rcfile.write_text("".join(rules) + ":0\n/dev/null\n", encoding="latin-1")
    log_file = directory / "log"
    log_file.unlink(missing_ok=True)
    subprocess.run(["procmail", "-m", rcfile], input=message, check=True, timeout=300)
    return log_file.read_bytes()


# Expressions whose alternatives end in marks are read by procmail's code in ways of their own.
_KNOWN_ODD = re.compile(r"\\/(?:[^\\]*\\/|\)|\||$|[*+?])|\(\)\||\|\(\)|\^\^.*\\/|\\/.*\^\^")


def test_expressions_match_the_same(tmp_path: Path) -> None:
    random_ = random.Random(6)
    wrong = []
    count = 0
    for _ in range(6):
        head = f"From a@b Mon Jan  1 00:00:00 2026\nSubject: {_text(random_)!r}\nX-A: x\n y\n\n"
        body = _text(random_)
        asked = [(expression(random_), random_.choice(("", "B", "HB", "D"))) for _ in range(400)]
        asked = [(text, flags) for text, flags in asked if not _KNOWN_ODD.search(text)]
        log = _ask_procmail(tmp_path, (head + body).encode(), asked)
        joined = head.replace("\n y", "  y")
        for number, (text, flags) in enumerate(asked):
            searched = {"B": body, "HB": joined + body}.get(flags, joined).encode()
            matcher = Matcher(parse_pattern(text), flags != "D")
            found = matcher.find(searched, 0)
            assert matcher.matches(searched) is (found is not None), (text, searched)
            matched = found.matched if found and found.matched is not None else b"none"
            expected = f"<{number} {'yes' if found else 'no'} (".encode() + matched + b")>\n"
            count += 1
            if expected not in log:
                wrong.append((text, flags, searched, expected))
    assert not wrong, f"{len(wrong)} of {count} differ: {wrong[:3]}"
    assert count > 1000
