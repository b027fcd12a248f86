"""The report on refusals as people read it: on a terminal, in a mail from cron.

Guarantee   every line is one line, and nothing that a stranger said can move a cursor, change a
            colour or turn the direction of writing: what cannot be printed is shown as an escape.
See also    rejects.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mdeliver.outcome import one_line
from mdeliver.postfix.events import Refusal
from mdeliver.postfix.judgement import Level, day, duration
from mdeliver.postfix.rejects import SIDES, Case, Findings, Row, counted_by, first_of
from mdeliver.postfix.remedies import Remedy, remedy_for

Paint = Callable[[str, str], str]
"""A colour and words: the words so coloured, or as they are."""

WIDTH = 240
"""Longer words of strangers are cut; --json has them whole."""

_HEADINGS = {
    "own": ("This Postfix failed", "red"),
    "likely": ("Likely to be wanted", "yellow"),
    "perhaps": ("Perhaps wanted", "yellow"),
    "through": ("Came through later", "green"),
    "rightly": ("Rightly, as far as can be seen", "dim"),
}
_ACTIONS = {
    "refused": "refused",
    "warned": "would be refused (warn_if_reject)",
    "discarded": "discarded",
    "held": "held",
}
_IN_SUMMARY: dict[Level, str] = {
    "own": "by a fault here",
    "likely": "likely to be wanted",
    "perhaps": "perhaps wanted",
    "through": "came through later",
    "rightly": "rightly",
}


def summary(findings: Findings) -> str:
    """One line: how many, and how many of each level."""
    tries = sum([case.attempt.count for case in findings.every])
    if not tries:
        return "nothing was refused"
    counts = {level: len(chosen) for level, chosen in findings.by_level.items()}
    parts = [f"{counts[level]} {words}" for level, words in _IN_SUMMARY.items() if counts[level]]
    messages = _counted(sum(counts.values()), "message")
    warned = sum([case.attempt.last.action == "warned" for case in findings.every])
    only = f" ({warned} let through with a warning)" if warned else ""
    return f"{messages} refused in {_counted(tries, 'try')}{only}: {', '.join(parts)}"


def report(findings: Findings, paint: Paint, top: int, *, every: bool) -> Iterator[str]:
    """The whole report, line by line.

    top    how many attempts of each level, and rows of each table, are shown
    every  show all attempts
    """
    yield summary(findings)
    for level, of_level in findings.by_level.items():
        if not of_level or (level == "rightly" and not every):
            continue
        shown = first_of(of_level, None if every else top)
        heading, colour = _HEADINGS[level]
        yield ""
        yield paint("bold", f"{heading}: {len(of_level)}")
        for case in shown:
            yield ""
            yield from lines_of(case, paint, colour)
        if len(shown) < len(of_level):
            yield ""
            yield f"  … and {len(of_level) - len(shown)} more; --all shows them"
    for side in SIDES:
        rows, rest = counted_by(side, findings.every, top)
        if rows:
            yield ""
            yield from table(side, rows, rest, paint)


def lines_of(case: Case, paint: Paint, colour: str) -> Iterator[str]:
    """One attempt over several lines, the first of them in COLOUR."""
    attempt, judgement = case
    last = attempt.last
    yield "  " + paint(colour, _who(last))
    yield f"    {_when(case)}"
    yield f"    client   {_client(last)}" + (
        f", and {attempt.clients - 1} more of its addresses" if attempt.clients > 1 else ""
    )
    yield f"    check    {last.check} at {_plain(last.stage)}"
    yield f"    reply    {_plain(last.reply)}"
    for number, reason in enumerate(judgement.reasons):
        yield f"    {'because' if number == 0 else '       '}  {_plain(reason)}"
    if judgement.level in ("own", "likely", "perhaps"):
        yield from _to_do(remedy_for(attempt))


def live_line(case: Case) -> Iterator[str]:
    """One refusal as --follow shows it when it happens."""
    last = case.attempt.last
    count = f", try {case.attempt.count}" if case.attempt.count > 1 else ""
    reasons = "; ".join(case.judgement.reasons)
    yield f"{day(last.time_s)}  {_who(last)}"
    yield f"    {_ACTIONS[last.action]} by {last.check}{count}: {_plain(last.reply)}"
    yield f"    client {_client(last)}"
    yield f"    {case.judgement.level}" + (f": {_plain(reasons)}" if reasons else "")


def table(side: str, rows: Sequence[Row], rest: Row, paint: Paint) -> Iterator[str]:
    """Counts by one side."""
    name = "HELO" if side == "helo" else side
    yield paint("bold", f"{'tries':>8} {'messages':>8}  by {name}")
    for row in rows:
        yield f"{row.tries:8} {row.attempts:8}  {_plain(row.value)}"
    if rest.attempts:
        yield f"{rest.tries:8} {rest.attempts:8}  … {rest.value} more"


def _to_do(remedy: Remedy) -> Iterator[str]:
    yield f"    to do    {remedy.advice}"
    if remedy.line:
        yield f"    or take mail from this address: paste into {remedy.file}"
        yield f"                 {remedy.line}"
        yield f"             with {remedy.setting}; then: postfix reload"


def _who(last: Refusal) -> str:
    if last.sender is None and not last.recipient:
        return f"{_client(last)}"
    sender = "unknown sender" if last.sender is None else f"<{last.sender}>"
    return f"{_plain(sender)} to {_plain(last.recipient or 'nobody yet')}"


def _client(last: Refusal) -> str:
    helo = f", HELO {_plain(last.helo)}" if last.helo else ""
    return f"{_plain(last.client_name or 'unknown')}[{_plain(last.client)}]{helo}"


def _when(case: Case) -> str:
    attempt = case.attempt
    action = _ACTIONS[attempt.last.action]
    if attempt.count == 1:
        return f"{action} {day(attempt.first_s)}"
    took = duration(attempt.last.time_s - attempt.first_s)
    return f"{action} {attempt.count} times in {took}, {day(attempt.first_s)} the first"


def _plain(text: str) -> str:
    if len(text) > WIDTH:
        text = text[: WIDTH - 1] + "…"
    return one_line(text)


def _counted(count: int, noun: str) -> str:
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun}"
