"""What follows from a look at an mbox: what is there now, and what was downloaded since.

New        messages are bound to the deliveries that brought them, by the decision log: so their
           copies are known.
Downloaded what a server has marked as seen, or what has gone; also what the log says was put here
           and is not, nor ever was seen here.
Written    blocks that have changed are made anew, while the mbox is held: what they watch is read
           from the file.
See also   mboxindex.py, which has looked; ledger.py, which keeps it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mdeliver.deliver.mboxfind import head_length, own_lines
from mdeliver.popsync import links
from mdeliver.popsync.blocks import MESSAGES, Block, Octets, block_of, name_of, name_of_id
from mdeliver.popsync.entry import Entry, Known, message_id_of
from mdeliver.popsync.ledger import Delivered, Download, How, Written
from mdeliver.popsync.mboxindex import Found, Seen

Load = Callable[[Block], list[Known]]
CopyOf = Callable[[Delivered], bytes | None]


class Noted(NamedTuple):
    """What is to be kept of a look.

    blocks     what the mbox holds now
    downloads  what was downloaded
    bound      deliveries that are accounted for
    """

    blocks: list[Block | Written]
    downloads: list[Download]
    bound: list[Delivered]


def note(
    mbox: str,
    file: Octets,
    found: Found,
    deliveries: Sequence[Delivered],
    load: Load,
    copy_of: CopyOf = lambda _delivery: None,
) -> Noted:
    """What follows from FOUND, the look at MBOX, which is still held.

    file        its octets
    deliveries  that were put there, and whose messages were not found yet
    load        the messages of a block
    copy_of     the message that a delivery put into a Maildir; None where it is there no longer
    """
    contents = _Contents(found, load, copy_of)
    contents.tell_twins()
    unbound = contents.bind(deliveries)
    downloads = [
        _download(mbox, known, "removed")
        for known in found.vanished
        if known.state not in ("downloaded", "leaving")
    ]
    downloads += [_download(mbox, known, "seen") for known in contents.seen()]
    gone = [] if found.torn else [d for d in unbound if not contents.may_have(d)]
    downloads += [
        Download(mbox, b"", "removed", d.message_id, b"", d.length, 0, d.copies) for d in gone
    ]
    waiting = {d.id for d in unbound} - {d.id for d in gone}
    bound = [delivery for delivery in deliveries if delivery.id not in waiting]
    return Noted(list(contents.blocks(file)), downloads, bound)


class _Part:
    """Messages in a row.

    start     offset in the file
    block     as it was; None where new blocks are to be made
    messages  what these are to hold
    """

    def __init__(self, start: int, block: Block | None, messages: list[Known]) -> None:
        self.start = start
        self.block = block
        self.messages = messages


class _Contents:
    """What the mbox holds, while it is put in order."""

    def __init__(self, found: Found, load: Load, copy_of: CopyOf) -> None:
        self._load = load
        self._copy_of = copy_of
        self._parts: list[_Part] = []
        self._new: list[tuple[_Part, int]] = []
        """Part and index of each message that was not known."""
        at = 0
        for part in found.parts:
            if isinstance(part, Block):
                self._parts.append(_Part(at, part, []))
                at += part.length
            else:
                self._add(at, part)
                at += sum(seen.entry.length for seen in part)

    def _add(self, at: int, stretch: Sequence[Seen]) -> None:
        made = _Part(at, None, [_known_now(seen) for seen in stretch])
        self._new += [(made, n) for n, seen in enumerate(stretch) if seen.known is None]
        last = self._parts[-1] if self._parts else None
        if last is not None and last.block is not None and last.block.messages < MESSAGES:
            # Filled up, so that a message a day is not a block a day.
            self._open(last)
        self._parts.append(made)

    def _messages(self, part: _Part) -> list[Known]:
        return part.messages if part.block is None else self._load(part.block)

    def _open(self, part: _Part) -> None:
        """Let PART be written anew."""
        part.messages, part.block = self._messages(part), None

    def _change(self, part: _Part, n: int, **changes: Any) -> None:
        self._open(part)
        part.messages[n] = part.messages[n]._replace(**changes)

    # --- twins -------------------------------------------------------------------------------

    def tell_twins(self) -> None:
        """Find messages that share their Message-ID with one that is new."""
        named: dict[bytes, list[tuple[_Part, int]]] = {}

        def take_in(part: _Part) -> None:
            for n, known in enumerate(part.messages):
                named.setdefault(name_of(known.entry), []).append((part, n))

        for part in self._parts:
            take_in(part)
        # Each name once: a stranger may have sent thousands of messages of one.
        for name in dict.fromkeys([name_of(part.messages[n].entry) for part, n in self._new]):
            for other in self._parts:
                if other.block is not None and other.block.may_have(name):
                    self._open(other)
                    take_in(other)
            if len(named[name]) > 1:
                for twin, m in named[name]:
                    self._change(twin, m, twin=True)

    # --- deliveries --------------------------------------------------------------------------

    def bind(self, deliveries: Sequence[Delivered]) -> list[Delivered]:
        """Give messages the copies that DELIVERIES made; those whose message is not there."""
        if not deliveries:
            return []
        unbound = self._bind(deliveries, [part for part in self._parts if part.block is None])
        for part in reversed(self._parts):
            if not unbound:
                break
            if part.block is not None and _may_hold(part.block, unbound):
                # It was there before its delivery was logged.
                unbound = self._bind(unbound, [part])
        return unbound

    def _bind(self, deliveries: Sequence[Delivered], parts: Iterable[_Part]) -> list[Delivered]:
        waiting: dict[bytes, list[Delivered]] = {}
        for delivery in deliveries:
            waiting.setdefault(delivery.from_line, []).append(delivery)
        for part in parts:
            start = part.start
            for n, known in enumerate(self._messages(part)):
                same = [] if known.copies else waiting.get(known.entry.from_line, [])
                fitting = [delivery for delivery in same if _fits(delivery, known)]
                if fitting:
                    # Where it was appended says which of several; but the file may have moved.
                    nearest = min(fitting, key=lambda delivery: abs(delivery.start - start))
                    same.remove(nearest)
                    self._change(part, n, copies=nearest.copies)
                start += known.entry.length
        return [delivery for rest in waiting.values() for delivery in rest]

    def may_have(self, delivery: Delivered) -> bool:
        """Whether a message without known copies may be DELIVERY's, though not all is as it was."""
        for part in reversed(self._parts):
            for known in self._messages(part):
                if known.copies:
                    continue
                if delivery.message_id and known.entry.message_id == delivery.message_id:
                    return True
                if known.entry.from_line == delivery.from_line and not self._is_another(
                    known.entry, delivery
                ):
                    return True
        return False

    def _is_another(self, entry: Entry, delivery: Delivered) -> bool:
        """Whether ENTRY, of the same sender and second, is certainly not what DELIVERY put there.

        No server writes another Message-ID. A rule may: then the copy in the Maildir has another
        than the log, or what the log says was written has the size of what is there.
        """
        if not delivery.message_id or not entry.message_id:
            return False
        if delivery.length - 2 <= entry.own_bytes <= delivery.length:
            return False
        copy = self._copy_of(delivery)
        if copy is None:
            return False
        head = copy[: head_length(copy)]
        return own_lines(head) == head and message_id_of(head) == delivery.message_id

    # --- what comes of it --------------------------------------------------------------------

    def seen(self) -> Iterator[Known]:
        """What a server has marked since; it counts as downloaded from now on."""
        for part in self._parts:
            for n, known in enumerate(part.messages):
                if known.state in ("here", "leaving") and known.entry.seen:
                    self._change(part, n, state="downloaded")
                    yield known

    def blocks(self, file: Octets) -> Iterator[Block | Written]:
        """All of it, in blocks."""
        waiting: list[Known] = []
        start = 0
        for part in self._parts:
            if part.block is None:
                if not waiting:
                    start = part.start
                waiting += part.messages
                continue
            yield from _written(waiting, file, start)
            waiting = []
            yield part.block
        yield from _written(waiting, file, start)


def _written(messages: Sequence[Known], file: Octets, start: int) -> Iterator[Written]:
    for begin in range(0, len(messages), MESSAGES):
        some = list(messages[begin : begin + MESSAGES])
        block = block_of(0, some, file, start)
        yield Written(block, some)
        start += block.length


def _known_now(seen: Seen) -> Known:
    if seen.known is None:
        return Known("here", (), False, seen.entry)
    return seen.known._replace(entry=seen.entry)


def _may_hold(block: Block, deliveries: Iterable[Delivered]) -> bool:
    # A message without Message-ID has another name than its delivery would give it.
    return any(not d.message_id or block.may_have(name_of_id(d.message_id)) for d in deliveries)


def _fits(delivery: Delivered, known: Known) -> bool:
    entry = known.entry
    fewest = delivery.length - 2 - links.SERVERS_LINES_BYTES
    return delivery.message_id == entry.message_id and fewest <= entry.own_bytes <= delivery.length


def _download(mbox: str, known: Known, how: How) -> Download:
    e = known.entry
    return Download(mbox, e.key, how, e.message_id, e.content, e.own_bytes, e.quoted, known.copies)
