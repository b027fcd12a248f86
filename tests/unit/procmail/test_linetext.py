"""What sed(1) is asked: it says what procmail's matcher says, on lines."""

from __future__ import annotations

import random
import shlex
import subprocess

import pytest

from mdeliver.procmail.linetext import body_has, head_has_times, line_expression, sed_arguments
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.pattern import parse_pattern
from mdeliver.procmail.wording import Fact, Unsayable, words
from tests.procmailrules import expression


def _holds(fact: Fact, message: str) -> bool:
    argv = shlex.split(fact.words.removeprefix("program ").removesuffix(" succeeds"))
    (known,) = sed_arguments(words(fact))
    assert list(known) == [part.replace("\\$", "$") for part in argv]
    return subprocess.run(known, input=message.encode(), check=False).returncode == 0


@pytest.mark.parametrize(
    ("expression", "body", "holds"),
    [
        ("<iframe", "x\n<IFRAME src>\n", True),
        ("<iframe", "x\n", False),
        ("<iframe", "", False),
        ("^Content-Type:.*html", "--b\nContent-Type: text/html\n", True),
        ("^Content-Type:.*html", "in a Content-Type: text/html\n", False),
        ("=C3=A4|=E4", "a=e4\n", True),
        ("a/b[]x]$", "a/b]\n", True),
        ("\\<object\\>", "an <object>\n", True),
        ("\\<object\\>", "objects\n", False),
    ],
)
def test_a_line_of_the_body(expression: str, body: str, holds: bool) -> None:
    head = "Subject: <iframe =E4 a/b]\nContent-Type: text/html\n\n"
    assert _holds(body_has(expression, False), head + body) is holds


def test_case_counts_where_it_is_asked_to() -> None:
    assert not _holds(body_has("<iframe", True), "A: b\n\n<IFRAME\n")


@pytest.mark.parametrize(("times", "holds"), [(2, True), (3, True), (4, False)])
@pytest.mark.parametrize("end", ["\n", "\n\nReceived: in the body\n"])
def test_how_many_headers(times: int, holds: bool, end: str) -> None:
    message = "Received: a\nSubject: x\nreceived: b\n\tReceived: fold\nReceived: c" + end
    assert _holds(head_has_times("^Received:", times, False), message) is holds


def test_what_goes_over_lines_is_not_said() -> None:
    for text in ("a^b", "(a$)*b", "^^a", "a\\/b", "[", "(a"):
        with pytest.raises(Unsayable):
            line_expression(text)


def test_generated_expressions_match_the_same_lines() -> None:
    random_ = random.Random(9)
    asked: list[str] = []
    while len(asked) < 60:
        text = expression(random_)
        try:
            line_expression(text)
        except Unsayable:
            continue
        asked.append(text)
    lines = ["".join(random_.choices("abcABCx-@._1 ", k=random_.randint(1, 9))) for _ in range(30)]
    for text in asked:
        matcher = Matcher(parse_pattern(text), True)
        expected = [line for line in lines if matcher.matches(line.encode())]
        command = ["grep", "-iE", "-e", line_expression(text)]
        found = subprocess.run(
            command, input="\n".join(lines), capture_output=True, text=True, check=False
        )
        assert found.stdout.splitlines() == expected, (text, line_expression(text))
