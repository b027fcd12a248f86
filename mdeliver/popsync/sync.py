"""One look at the mboxes of one user, and what follows from it.

    1  The decision log is taken over into the ledger.
    2  Each mbox that has changed is locked, looked through, and given back.
    3  What is there now, and what was downloaded since, goes into the ledger: one transaction.
    4  Downloads are carried over to the Maildir, then struck off, some at a time.

Killed     before 3, the next look begins anew; after it, the next look goes on with 4.
Missing    An mbox that is not there says nothing: its disk may not be mounted. Nor does one on
           another file system that has none of the messages known.
At once    one look at a user's mboxes at a time: a lock on pop-sync.lock.
Fails with OSError, Deferral (a lock was not to be had)
See also   mboxindex.py, ledger.py, links.py, carry.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from mdeliver import durable, locks, system
from mdeliver.deliver.mboxlock import lock_mbox
from mdeliver.outcome import Deferral
from mdeliver.popsync import links, mboxindex
from mdeliver.popsync.carry import Carrier, Change, NotBelieved
from mdeliver.popsync.ledger import Delivered, Download, Known, Ledger
from mdeliver.popsync.mboxindex import Found, NotWhole
from mdeliver.popsync.settings import PopSync

_LOCK_WAIT_S = 20.0
_AT_ONCE = 100
"""Downloads that are struck off together."""

_TAIL_TRUSTED_S = 300.0
"""A last message without its empty line is nobody's beginning after that time."""

_SAME_TICK_NS = 1_000_000_000
"""A file that was changed so shortly ago may change again, and its times still be the same."""


class Account(NamedTuple):
    """One user's mail.

    state     the state directory
    mboxes    what POP3 serves
    maildirs  where the copies are: Maildirs, each with its folders
    """

    user: str
    state: str
    hostname: str
    mboxes: tuple[str, ...]
    maildirs: tuple[str, ...]
    choices: PopSync


class Looked(NamedTuple):
    """What a look came to.

    troubles   what could not be looked at, and why
    unsettled  whether a file was changed so shortly ago that another look is due
    """

    changes: list[Change]
    troubles: list[str]
    unsettled: bool


@contextmanager
def alone(state: str) -> Iterator[None]:
    """Only one process at a time looks at a user's mboxes. Raises Deferral."""
    durable.make_directory(state)
    fd = durable.open_own_file(system.join(state, "pop-sync.lock"), create=True)
    try:
        if not locks.try_lock(fd, 0, locks.WHOLE_FILE, exclusive=True):
            raise Deferral("another mdeliver pop-sync of this user is at work")
        yield
    finally:
        durable.close_read(fd)


def look(account: Account, ledger: Ledger, tell: Callable[[Change], None], *, do: bool) -> Looked:
    """Look once, and carry over what was downloaded; DO: or only say what would be done.

    tell  is told of each change once it is done
    """
    troubles = []
    unsettled = False
    with ledger.transaction():
        links.take_over(account.state, ledger, account.mboxes)
    for mbox in account.mboxes:
        try:
            unsettled |= not _look_at(mbox, account, ledger)
        except (NotWhole, Deferral) as trouble:
            troubles.append(f"{mbox}: {trouble}")
    changes, failed = _carry_over(account, ledger, tell, do=do)
    return Looked(changes, troubles + failed, unsettled)


def _look_at(mbox: str, account: Account, ledger: Ledger) -> bool:
    """Note what is in MBOX; returns whether it will be the same as long as its status is."""
    try:
        status = system.lstat(mbox)
    except FileNotFoundError:
        return True
    deliveries = ledger.deliveries(mbox)
    noted = ledger.status(mbox)
    if _words(status, deliveries) == noted:
        return True
    known = ledger.known(mbox)
    try:
        held = lock_mbox(mbox, account.hostname, _LOCK_WAIT_S, create=False)
    except FileNotFoundError:
        return True
    try:
        status = system.fstat(held.fd)
        now_ns = time.time_ns()
        trust_tail = now_ns - status.st_mtime_ns > _TAIL_TRUSTED_S * 1e9
        found = mboxindex.look(held.fd, [k.entry for k in known], trust_tail=trust_tail)
    finally:
        held.release()
    is_settled = now_ns - status.st_mtime_ns > _SAME_TICK_NS and not found.torn
    _check_file_system(noted, status, known, found)
    with ledger.transaction():
        _note(mbox, ledger, known, found, deliveries)
        words = _words(status, ledger.deliveries(mbox)) if is_settled else f"{status.st_dev}:"
        ledger.note_status(mbox, words)
    return is_settled


def _words(status: system.stat_result, deliveries: Sequence[Delivered]) -> str:
    """What says, if it is the same again, that there is nothing to look for."""
    s = status
    newest = deliveries[-1].id if deliveries else 0
    return f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}:{newest}"


def _check_file_system(
    noted: str, status: system.stat_result, known: Sequence[Known], found: Found
) -> None:
    """Raise NotWhole where another disk seems to be in the place of the mbox's."""
    is_other = noted != "" and noted.partition(":")[0] != str(status.st_dev)
    if is_other and known and len(found.vanished) == len(known):
        raise NotWhole(
            "it is on another file system, and none of its messages are there; "
            "if that is right, remove pop-sync.db from the state directory"
        )


# --- what was found ----------------------------------------------------------------------------


def _note(
    mbox: str,
    ledger: Ledger,
    before: list[Known],
    found: Found,
    deliveries: Sequence[Delivered],
) -> None:
    """Note in LEDGER what is in MBOX now, and what was downloaded."""
    after, anew = _placed(before, found)
    after, unbound = _bound(after, deliveries)
    downloads = [
        _download(mbox, before[n], None) for n in found.vanished if before[n].state != "downloaded"
    ]
    for n, known in enumerate(after):
        if known.state == "here" and known.entry.seen:
            downloads.append(_download(mbox, known, known.place))
            after[n] = known._replace(state="downloaded")
    gone = [] if found.torn else [d for d in unbound if not _may_be_there(d, after)]
    downloads += [
        Download(mbox, None, "removed", d.message_id, b"", d.length, 0, d.copies) for d in gone
    ]
    left = {d.id for d in unbound} - {d.id for d in gone}
    ledger.save(mbox, before, after, found, anew=anew)
    ledger.forget_deliveries(d.id for d in deliveries if d.id not in left)
    ledger.add_downloads(downloads)


def _placed(before: Sequence[Known], found: Found) -> tuple[list[Known], bool]:
    """What is there now, in order; and whether known messages have got other places.

    What is new has places behind what was known.
    """
    after: list[Known] = []
    last = max([known.place for known in before], default=0)
    for number, entry in found.entries:
        if number is not None:
            same = before[number]
            after.append(same if entry is same.entry else same._replace(entry=entry))
        else:
            last += 1
            after.append(Known(last, "here", (), entry))
    places = [known.place for known in after]
    if places == sorted(places):
        return after, False
    # The order has changed, which servers hardly ever do.
    return [known._replace(place=place) for place, known in enumerate(after, 1)], True


def _bound(
    after: list[Known], deliveries: Sequence[Delivered]
) -> tuple[list[Known], list[Delivered]]:
    """AFTER with the copies that DELIVERIES made; and those whose message is not there."""
    waiting: dict[bytes, list[Delivered]] = {}
    for delivery in deliveries:
        waiting.setdefault(delivery.from_line, []).append(delivery)
    start = 0
    for n, known in enumerate(after):
        same = [] if known.copies else waiting.get(known.entry.from_line, [])
        fitting = [delivery for delivery in same if _fits(delivery, known)]
        if fitting:
            # Where it was appended says which of several; but the file may have moved since.
            nearest = min(fitting, key=lambda delivery: abs(delivery.start - start))
            same.remove(nearest)
            after[n] = known._replace(copies=nearest.copies)
        start += known.entry.length
    return after, [delivery for rest in waiting.values() for delivery in rest]


def _fits(delivery: Delivered, known: Known) -> bool:
    entry = known.entry
    fewest = delivery.length - 2 - links.SERVERS_LINES_BYTES
    return delivery.message_id == entry.message_id and fewest <= entry.own_bytes <= delivery.length


def _may_be_there(delivery: Delivered, after: Sequence[Known]) -> bool:
    """Whether a message without known copies may be DELIVERY's, though not all is as it was."""
    return any(
        known.entry.from_line == delivery.from_line
        or (delivery.message_id and known.entry.message_id == delivery.message_id)
        for known in after
        if not known.copies
    )


def _download(mbox: str, known: Known, place: int | None) -> Download:
    e = known.entry
    how = "removed" if place is None else "seen"
    return Download(mbox, place, how, e.message_id, e.content, e.own_bytes, e.quoted, known.copies)  # type: ignore[arg-type]


# --- carried over ------------------------------------------------------------------------------


def _carry_over(
    account: Account, ledger: Ledger, tell: Callable[[Change], None], *, do: bool
) -> tuple[list[Change], list[str]]:
    """What was changed, and what could not be: that stays in the ledger for the next look."""
    changes: list[Change] = []
    troubles: list[str] = []
    waiting = ledger.downloads()
    carrier = Carrier(account.choices, account.maildirs, do=do)
    for begin in range(0, len(waiting), _AT_ONCE):
        finished: list[Download] = []
        for download in waiting[begin : begin + _AT_ONCE]:
            try:
                made = carrier.carry(download)
            except NotBelieved:
                made = []
                if download.place is not None:
                    ledger.set_state(download.mbox, download.place, "marked when it came")
            except OSError as error:
                troubles.append(f"{download.message_id or 'a message'}: {error}")
                continue
            finished.append(download)
            for change in made:
                tell(change)
            changes += made
        carrier.settle()
        with ledger.transaction():
            ledger.forget_downloads(download.id for download in finished)
    return changes, troubles
