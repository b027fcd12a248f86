"""What the soak's gauges read and judge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.torture import gauges
from tests.torture.gauges import Gauges, Size, size_of

pytestmark = pytest.mark.faults

LINE = (
    "Nov 23 05:46:14 mx postfix/{}[1]: 4ABC: to=<ann@example.org>, relay=local, delay=9.5, "
    "delays=9/0/0.25/{}, dsn=2.0.0, status={} (250 2.0.0 fine)\n"
)


def watched(monkeypatch: pytest.MonkeyPatch, maillog: Path, sizes: Sequence[Size | None]) -> Gauges:
    """Gauges that have seen SIZES of one role, one a second after the warm beginning."""
    now = [100.0]
    left = list(sizes)
    monkeypatch.setattr(gauges, "size_of", lambda _pids: left.pop(0))
    seen = Gauges(lambda: {"front": [1]}, maillog, lambda: now[0])
    now[0] += gauges.WARM_S
    for _size in sizes:
        seen.look()
        now[0] += 1
    return seen


def test_what_stays_has_not_grown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = watched(monkeypatch, tmp_path / "maillog", [Size(20_000, 10, 1)] * 20)
    assert seen.grown() == []
    assert "19.5 MB   10 fds  1 x" in seen.table("all of it")


def test_memory_and_descriptors_that_grow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes = [Size(20_000 + 1000 * n, 10 + 5 * n, 1) for n in range(20)]
    seen = watched(monkeypatch, tmp_path / "maillog", sizes)
    assert [words.split(":")[1] for words in seen.grown()] == [
        " memory of front",
        " descriptors of front",
    ]


def test_one_look_at_more_than_usual_is_no_growth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = [Size(20_000, 10, 1)] * 18 + [Size(90_000, 200, 1), None]
    assert watched(monkeypatch, tmp_path / "maillog", sizes).grown() == []


def test_a_short_run_is_not_judged(tmp_path: Path) -> None:
    seen = Gauges(lambda: {"ourselves": [os.getpid()]}, tmp_path / "maillog")
    seen.look()
    assert seen.sizes() == {}
    assert seen.grown() == []
    assert seen.table("a moment")


def test_deliveries_are_read_from_the_log_as_it_grows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maillog = tmp_path / "maillog"
    maillog.write_text(LINE.format("local", 7, "sent"))
    seen = watched(monkeypatch, maillog, [None] * 4)
    with maillog.open("a") as log:
        log.write(LINE.format("lmtp", 0.75, "sent"))
        log.write(LINE.format("lmtp", 0.5, "bounced"))
        log.write("Nov 23 05:46:15 mx postfix/lmtp[1]: 4ABD: to=<a")
    monkeypatch.setattr(gauges, "size_of", lambda _pids: None)
    seen.look()
    # What was in the log before is not of this run.
    assert "1 deliveries" in seen.table("all of it")
    assert "1000 1000 1000 ms" in seen.table("all of it")
    assert len(seen.bounced) == 1


def test_the_size_of_a_process() -> None:
    size = size_of([os.getpid(), 2**22 + 1])
    assert size is not None
    assert size.processes == 1
    assert size.memory_kb > 5000
    assert size.files >= 3
    assert size_of([]) is None
