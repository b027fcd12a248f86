"""The report on SPF, DKIM and DMARC as people read it, and as programs do.

Guarantee   every line is one line, and nothing that a stranger said can move a cursor or change a
            colour: what cannot be printed is shown as an escape.
See also    tally.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mdeliver.authentication.tally import Source, Tallies, Tally
from mdeliver.outcome import one_line

Paint = Callable[[str, str], str]
"""A colour and words: the words so coloured, or as they are."""

_SHOWN_DAYS = 31


def summary(tallies: Tallies, shown: Sequence[Tally]) -> str:
    """One line: how many messages, how many would fail, and how many of them in our name."""
    messages = sum([tally.messages for tally in shown])
    fail = sum([tally.would_fail for tally in shown])
    ours = sum([tally.would_fail for tally in shown if tallies.is_own(tally.domain)])
    if not messages:
        return "no message has a result: [authentication] in the settings has them found out"
    return (
        f"{_counted(messages, 'message')} of {_counted(len(shown), 'domain')}, {fail} aligned"
        f" with neither SPF nor DKIM,"
        f" {ours} of them in your own name"
    )


def report(tallies: Tallies, shown: Sequence[Tally], paint: Paint, top: int) -> Iterator[str]:
    """The whole report, line by line; TOP domains of others, and addresses of each."""
    yield summary(tallies, shown)
    if tallies.unchecked:
        unchecked = _counted(tallies.unchecked, "message")
        yield f"not counted: {unchecked} without results, or without a domain in From"
    own = [tally for tally in shown if tallies.is_own(tally.domain)]
    others = [tally for tally in shown if not tallies.is_own(tally.domain)]
    for tally in (*own, *others[:top]):
        yield ""
        yield from _domain(tally, paint, top, own=tally in own)
    if len(others) > top:
        yield ""
        yield f"… and {len(others) - top} more domains; --top shows them"


def _domain(tally: Tally, paint: Paint, top: int, *, own: bool) -> Iterator[str]:
    name = one_line(tally.domain) + (" (your own)" if own else "")
    fail = tally.would_fail
    colour = "red" if fail and own else "yellow" if fail else "green"
    yield f"{paint('bold', name)}: {paint(colour, f'{fail} of {tally.messages} would fail')}"
    yield f"  aligned  {_counts(tally.aligned)}"
    yield f"  DMARC    {_counts(tally.dmarc)}; SPF {_counts(tally.spf)}; DKIM {_counts(tally.dkim)}"
    if tally.policies:
        yield f"  asks for {_counts(tally.policies)}"
    for advice in _advice(tally, own=own):
        yield f"  {advice}"
    for source, count in tally.failing.most_common(top):
        yield f"    {count:6}  from {_source(source)}"
    if len(tally.failing) > top:
        yield f"            … and from {len(tally.failing) - top} more"
    days = sorted(tally.days.items())[-_SHOWN_DAYS:]
    if len(days) > 1:
        yield "    day         aligned   fail"
        for day, (good, bad) in days:
            yield f"    {day}  {good:7} {bad:6}"


def _advice(tally: Tally, *, own: bool) -> Iterator[str]:
    """What a policy would do, and for one's own domain, whether it is time for it."""
    fail = tally.would_fail
    if not fail:
        if own:
            yield "p=reject would have refused nothing that came here in your name"
        return
    yield f"p=quarantine would have put {fail} into Junk, p=reject refused {fail}:"
    both = {source.client for source in tally.failing} & set(tally.passing) - {""}
    if own and both:
        yield (
            "  some come from addresses that also send what passes, so they may be yours: "
            + ", ".join(one_line(client) for client in sorted(both)[:5])
        )
    elif own:
        yield "  none from an address that sends what passes: forged, or a sender that SPF forgets"


def _source(source: Source) -> str:
    client = one_line(source.client) or "an address that the log does not have"
    return f"{client}: spf={one_line(source.spf)} dkim={one_line(source.dkim)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{one_line(name)} {count}" for name, count in counter.most_common())


def as_object(tallies: Tallies, tally: Tally) -> dict[str, Any]:
    """One domain as JSON has it."""
    return {
        "domain": tally.domain,
        "own": tallies.is_own(tally.domain),
        "messages": tally.messages,
        "would_fail": tally.would_fail,
        "aligned": dict(tally.aligned),
        "dmarc": dict(tally.dmarc),
        "spf": dict(tally.spf),
        "dkim": dict(tally.dkim),
        "policies": dict(tally.policies),
        "failing": [{**s._asdict(), "messages": n} for s, n in tally.failing.most_common()],
        "passing": dict(tally.passing),
        "days": {day: {"aligned": good, "fail": bad} for day, (good, bad) in tally.days.items()},
    }
