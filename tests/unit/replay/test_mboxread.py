"""mboxes of others: what begins a message, who sent it, when it came."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mdeliver.replay import mboxread

LINE = b"From a@example.org Mon Nov  2 10:00:00 2026\n"
MESSAGE = LINE + b"Subject: one\n\ntext\n\n"


def subjects(path: Path, content: bytes) -> list[bytes]:
    path.write_bytes(content)
    with path.open("rb") as file:
        fd = file.fileno()
        return [
            mboxread.read_entry(fd, entry).partition(b"Subject: ")[2].split()[0]
            for entry in mboxread.entries(fd)
        ]


@pytest.mark.parametrize(
    "line",
    [
        b"From a@example.org  Mon Nov  2 10:00:00 2026",
        b"From - Mon Nov 02 10:00:00 2026",
        b"From a b c@example.org Mon Nov  2 10:00 2026 remote from x",
        b"From 1234@xxx Mon Nov 02 10:00:00 +0000 2026",
        b"From a@example.org Mon, 2 Nov 2026 10:00:00 +0000",
    ],
)
def test_what_begins_a_message(tmp_path: Path, line: bytes) -> None:
    other = line + b"\nSubject: two\n\n"
    assert subjects(tmp_path / "mbox", MESSAGE + other) == [b"one", b"two"]
    assert subjects(tmp_path / "mbox", other + MESSAGE) == [b"two", b"one"]


@pytest.mark.parametrize(
    "text",
    [
        b"From here to eternity\n\n",
        b"From: a@example.org\n\n",
        b"From the meeting at 10:00\n\n",
        b"x\n" + LINE + b"\n",  # no empty line before it
        b"From " + b"x" * 3000 + b" Mon Nov  2 10:00:00 2026\n\n",
    ],
)
def test_what_is_text(tmp_path: Path, text: bytes) -> None:
    content = MESSAGE + text + MESSAGE
    assert subjects(tmp_path / "mbox", content) == [b"one", b"one"]


def test_crlf_and_empty_lines_in_front(tmp_path: Path) -> None:
    content = (b"\n\n" + MESSAGE * 3).replace(b"\n", b"\r\n")
    assert subjects(tmp_path / "mbox", content) == [b"one"] * 3


def test_what_is_no_mbox(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"Subject: x\n\n" + MESSAGE, b"From nobody\n\n" + MESSAGE):
        assert subjects(tmp_path / "mbox", content) == []


def test_one_message_with_a_from_line_is_a_message(tmp_path: Path) -> None:
    for content, expected in ((MESSAGE, False), (MESSAGE * 2, True), (b"", False)):
        (tmp_path / "mbox").write_bytes(content)
        with (tmp_path / "mbox").open("rb") as file:
            assert mboxread.is_mbox(file.fileno()) is expected


def test_a_mailbox_that_was_rewritten_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "mbox").write_bytes(MESSAGE * 2)
    with (tmp_path / "mbox").open("rb") as file:
        _first, second = mboxread.entries(file.fileno())
        (tmp_path / "mbox").write_bytes(b"x" + MESSAGE * 2)
        with pytest.raises(ValueError, match="changed"):
            mboxread.read_entry(file.fileno(), second)


def test_sender() -> None:
    assert mboxread.sender_of(LINE) == "a@example.org"
    assert mboxread.sender_of(b"From MAILER-DAEMON  Mon Nov  2 10:00:00 2026\n") == ""
    assert mboxread.sender_of(b"From - Mon Nov  2 10:00:00 2026\n") is None
    assert mboxread.sender_of(b"") is None


def test_arrival_is_local_time_or_has_a_zone() -> None:
    local = time.mktime((2026, 11, 2, 10, 0, 0, 0, 0, -1))
    assert mboxread.arrival_of(LINE) == local
    assert mboxread.arrival_of(b"From x Mon Nov 2 10:00 2026\n") == local
    assert mboxread.arrival_of(b"From x Mon Nov 02 10:00:00 +0000 2026\n") == 1793613600
    assert mboxread.arrival_of(b"From x Mon, 2 Nov 2026 10:00:00 -0130\n") == 1793613600 + 5400
    for line in (
        b"",
        b"From x\n",
        b"From x Mon Xyz 2 10:00:00 2026\n",
        b"From x Mon Nov 2 10:00\n",
    ):
        assert mboxread.arrival_of(line) is None
