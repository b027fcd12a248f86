"""Messages whose whole way stands in one block of the log, as one event each.

Why         between the processes that read blocks and the one that knows them all, events cost
            more than anything else; most are the four and more of a message that came and went.
Guarantee   a History makes the same of what comes out as of what went in. (Of two messages that a
            client brings at once, a warning in the block before may be taken for the other's.)
See also    readlogs.py; tests/properties/test_rejects.py compares the two
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mdeliver.postfix.events import Brought, Event, Passed, Queued, Refusal, Removed, Sent

_MIDDLE = (Queued, Sent)


def condensed(events: Sequence[Event]) -> Iterator[Event]:
    """EVENTS, with one Passed for each message that is wholly in them, where its end was."""
    lives = _whole_lives(events)
    within = {number for life in lives.values() for number in life}
    for number, event in enumerate(events):
        if number in lives:
            yield _passed([events[step] for step in lives[number]])
        elif number not in within:
            yield event


def _whole_lives(events: Sequence[Event]) -> dict[int, list[int]]:
    """For each Removed, by its number, the numbers of what came before it of the same message."""
    # What a warning was about is for the History to say.
    warnings = [x for x in events if isinstance(x, Refusal) and x.action == "warned"]
    warned = {x.client for x in warnings} | {x.queue_id for x in warnings if x.queue_id}
    begun: dict[str, list[int]] = {}
    whole = {}
    for number, event in enumerate(events):
        if isinstance(event, Brought):
            # Short queue ids are used again: here another message begins.
            begun.pop(event.queue_id, None)
            if event.client not in warned and event.queue_id not in warned:
                begun[event.queue_id] = [number]
        elif isinstance(event, _MIDDLE) and event.queue_id in begun:
            begun[event.queue_id].append(number)
        elif isinstance(event, Removed):
            life = begun.pop(event.queue_id, [])
            # client=, then from=; where the order is another, lines are missing.
            if len(life) > 1 and isinstance(events[life[1]], Queued):
                whole[number] = life
    return whole


def _passed(life: Sequence[Event]) -> Passed:
    brought, queued, *rest = life
    assert isinstance(brought, Brought)
    assert isinstance(queued, Queued)
    sent = [(x.time_s, x.recipient, x.outside) for x in rest if isinstance(x, Sent)]
    return Passed(*brought, queued.time_s, queued.sender, sent)
