"""Reading a file of cases: what is accepted, and what is wrong with what is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mdeliver.replay.cases import parse_cases

WHOLE = """\
# comment
rules "other.rules"
user "ann"
arrived 2026-02-28

message "one \\"quoted\\"":
    Subject: folded
      twice

    body
      further in

# between
files to imap/A as seen   # comment
also keeps

message "two" in "two.eml":
sender ""
size 2K
submitted by "ann"
does not keep
does not reject
rejects "5.7.1 \\"no\\""
discards
"""


def test_everything_at_once() -> None:
    found = parse_cases(WHOLE, "x.cases")
    assert found.findings == ()
    assert found.rules == "other.rules"
    one, two = found.cases
    assert (one.line, one.title, one.file) == (6, 'one "quoted"', "")
    assert one.message == b"Subject: folded\n  twice\n\nbody\n  further in\n"
    noon = str(time.mktime((2026, 2, 28, 12, 0, 0, 0, 0, -1)))
    assert one.said == {"user": "ann", "arrived": noon}
    assert [(e.line, e.verb, e.manner, e.text) for e in one.expected] == [
        (14, "file", "", ""),
        (15, "file", "also", ""),
    ]
    assert (two.line, two.title, two.file, two.message) == (17, "two", "two.eml", None)
    assert two.said == {**one.said, "sender": "", "size": "2048", "submitted by": "ann"}
    assert [(e.line, e.verb, e.manner, e.text) for e in two.expected] == [
        (21, "file", "not", ""),
        (22, "reject", "not", ""),
        (23, "reject", "", '5.7.1 "no"'),
        (24, "discard", "", ""),
    ]
    targets = found.targets.split("\n")
    assert targets[13] == "also file to imap/A as seen   # comment"
    assert [targets[14], targets[20]] == ["also keep", "also keep"]


DEEDS = """\
required  # until all of them hold
message "x":
forwards to "a@b", "c@d"   # both
also pipes to "/bin/prog" "-x"
runs "prog"
filters through "prog"
does not set header "X-A: {subject}"
adds header "X-A: 1"
removes header "X-A", "X-B"
replies "I am away"
logs
does not forward
also forwards
does not reply
"""


def test_every_deed() -> None:
    found = parse_cases(DEEDS, "x.cases")
    assert (found.findings, found.required) == ((), True)
    (only,) = found.cases
    assert [(e.line, e.verb, e.manner, e.text, e.ruled) for e in only.expected] == [
        (3, "forward", "", "", True),
        (4, "pipe", "also", "", True),
        (5, "run", "", "", True),
        (6, "filter", "", "", True),
        (7, "set", "not", "", True),
        (8, "add", "", "", True),
        (9, "remove", "", "", True),
        (10, "reply", "", "I am away", False),
        (11, "log", "", "", False),
        (12, "forward", "not", "", False),
        (13, "forward", "also", "", False),
        (14, "reply", "not", "", False),
    ]
    targets = found.targets.split("\n")
    assert targets[2:4] == [
        'also forward to "a@b", "c@d"   # both',
        'also pipe to "/bin/prog" "-x"',
    ]
    assert targets[6] == 'also set header "X-A: {subject}"'
    assert not any(targets[9:])


def test_a_message_without_a_body_has_the_end_of_its_head() -> None:
    (case,) = parse_cases('message "x":\n    Subject: y\nkeeps\n', "x").cases
    assert case.message == b"Subject: y\n\n"
    (case,) = parse_cases('message "x":\nkeeps\n', "x").cases
    assert case.message == b"\n"


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("    Subject: x\n", 1, "C101"),
        ("keeps\n", 1, "C101"),
        ('message "x":\nfiles imap\n', 2, "C102"),
        ('message "x":\nfile to imap\n', 2, "C102"),
        ('message "x":\ndoes not keeps\n', 2, "C102"),
        ('message "x":\nreject\n', 2, "C102"),
        ('message "x":\nsender bob\n', 2, "C102"),
        ('message "x":\nforward to "a@b"\n', 2, "C102"),
        ('message "x":\nforwards "a@b"\n', 2, "C102"),
        ('message "x":\nsets header\n', 2, "C102"),
        ('message "x":\nfiles to  # nothing\n', 2, "C102"),
        ('message "x":\ndoes not replies\n', 2, "C102"),
        ('message "x":\nlog "x"\n', 2, "C102"),
        ('message "x":\nkeeps\nrequired\n', 3, "C105"),
        ('message "x":\n    Subject: y\n', 1, "C103"),
        ('message "x"\nkeeps\n', 1, "C104"),
        ("message x:\nkeeps\n", 1, "C104"),
        ('message "x" in "y.eml"\n    Subject: z\nkeeps\n', 2, "C104"),
        ('message "x":\nkeeps\nrules "late"\n', 3, "C105"),
        ("arrived 2026-02-30\n", 1, "C105"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, code: str) -> None:
    findings = parse_cases(text, "x.cases").findings
    assert (findings[0].code, findings[0].place.line) == (code, line)
    assert findings[0].source == text.split("\n")[line - 1]


def test_the_example_in_the_manual() -> None:
    page = Path(__file__).parents[3] / "man" / "mdeliver-rules.5"
    _, _, section = page.read_text().partition("\n.Sh CASES\n")
    example = section.partition(".Bd -literal -offset indent\n")[2].partition(".Ed\n")[0]
    found = parse_cases(example, "x.cases")
    assert found.findings == ()
    assert [len(case.expected) for case in found.cases] == [1, 2]
