"""One look at the mboxes of one user, and what follows from it.

    1  The decision log is taken over into the ledger.
    2  Each mbox that has changed is locked, looked through, and given back.
    3  What is there now, and what was downloaded since, goes into the ledger: one transaction.
    4  Downloads are carried over to the Maildir, then struck off, some at a time.
    5  With both_ways, what was deleted in IMAP is taken out of the mboxes.
    6  Where POP3 gets all mail, what is in the inbox already is put there, some at a time.

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

from mdeliver import damage, durable, locks, system
from mdeliver.deliver.mboxlock import lock_mbox
from mdeliver.envelope import Envelope
from mdeliver.outcome import Deferral
from mdeliver.plan import File
from mdeliver.popsync import links, mboxindex
from mdeliver.popsync.blocks import Block
from mdeliver.popsync.bothways import WayBack, watched_directories
from mdeliver.popsync.carry import Carrier, Change, NotBelieved
from mdeliver.popsync.fill import Filled, Filler
from mdeliver.popsync.ledger import Delivered, Download, Ledger
from mdeliver.popsync.mboxindex import Found, NotWhole, mapped
from mdeliver.popsync.noting import note
from mdeliver.popsync.settings import PopSync

_LOCK_WAIT_S = 20.0
_AT_ONCE = 100
"""Downloads that are struck off together."""

_BRIEF_BYTES = 16 << 20
"""So much is read in no time; more than that is read before the mbox is held."""

_MORE_S = 0.2
"""Between two lots that are put into the mbox: others get their turn at it."""

_TAIL_TRUSTED_S = 300.0
"""A last message without its empty line is nobody's beginning after that time."""

_SAME_TICK_NS = 1_000_000_000
"""A file that was changed so shortly ago may change again, and its times still be the same."""


class Account(NamedTuple):
    """One user's mail.

    state     the state directory
    mboxes    what POP3 serves
    maildirs  where the copies are: Maildirs, each with its folders
    inbox     the places of the inbox
    """

    user: str
    state: str
    hostname: str
    mboxes: tuple[str, ...]
    maildirs: tuple[str, ...]
    choices: PopSync
    inbox: tuple[File, ...] = ()


def watched(account: Account) -> list[str]:
    """What to watch for it: files, and directories with a `/` at the end."""
    choices = account.choices
    directories = watched_directories(account.maildirs, choices) if choices.both_ways else []
    # What is not there yet would have to be polled.
    return [*account.mboxes, *filter(system.is_directory, directories)]


class Looked(NamedTuple):
    """What a look came to.

    troubles   what could not be looked at, and why
    unsettled  whether a file was changed so shortly ago that another look is due
    more       whether there is more of the inbox to be put into the mbox
    """

    changes: list[Change]
    troubles: list[str]
    unsettled: bool
    more: bool = False


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
    began_s = time.time()
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
    if account.choices.both_ways:
        way_back = WayBack(ledger, account.choices, account.maildirs, account.hostname, do=do)
        back = way_back.follow(account.mboxes, tell)
        changes += back.changes
        failed += back.troubles
        unsettled |= not back.settled
    filled = _fill(account, ledger, began_s, do=do)
    for change in filled.changes:
        tell(change)
    changes += filled.changes
    # Of the journal, where a copy was delivered: the next look finds nothing of it.
    troubles += [found.text for found in damage.taken(account.state)]
    return Looked(changes, troubles + failed, unsettled or filled.more, filled.more)


def look_through(
    account: Account, ledger: Ledger, tell: Callable[[Change], None], *, do: bool
) -> Looked:
    """Look until there is nothing more to be put into the mbox, for who looks once."""
    looked = look(account, ledger, tell, do=do)
    while looked.more and do:
        time.sleep(_MORE_S)
        further = look(account, ledger, tell, do=do)
        looked = further._replace(changes=looked.changes + further.changes)
    return looked


def _fill(account: Account, ledger: Ledger, began_s: float, *, do: bool) -> Filled:
    envelope = Envelope(account.user, "/", system.geteuid())
    filler = Filler(ledger, envelope, account.state, account.hostname, do=do)
    return filler.fill(account.choices.pop3_gets, account.inbox, began_s)


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
    if not ledger.blocks(mbox) and status.st_size > _BRIEF_BYTES:
        _look_beforehand(mbox, ledger)
    before = ledger.blocks(mbox)
    try:
        held = lock_mbox(mbox, account.hostname, _LOCK_WAIT_S, create=False)
    except FileNotFoundError:
        return True
    try:
        status = system.fstat(held.fd)
        now_ns = time.time_ns()
        trust_tail = now_ns - status.st_mtime_ns > _TAIL_TRUSTED_S * 1e9
        with mapped(held.fd) as file:
            found = mboxindex.look(held.fd, file, before, ledger.messages, trust_tail=trust_tail)
            _check_file_system(noted, status, before, found)
            copy_of = links.Shelves().delivered
            made = note(mbox, file, found, deliveries, ledger.messages, copy_of)
    finally:
        held.release()
    is_settled = now_ns - status.st_mtime_ns > _SAME_TICK_NS and not found.torn
    with ledger.transaction():
        ledger.forget_deliveries(delivery.id for delivery in made.bound)
        ledger.add_downloads(made.downloads)
        words = _words(status, ledger.deliveries(mbox)) if is_settled else f"{status.st_dev}:"
        ledger.save(mbox, words, made.blocks)
    return is_settled


def _look_beforehand(mbox: str, ledger: Ledger) -> None:
    """Take in a large MBOX without holding it for the seconds that takes.

    Only where nobody has written to it meanwhile; what was missed is found when it is held.
    """
    fd = durable.open_own_file(mbox, create=False)
    try:
        status = system.fstat(fd)
        if time.time_ns() - status.st_mtime_ns < _SAME_TICK_NS:
            return
        file = mboxindex.Pieces(fd, status.st_size)
        found = mboxindex.look(fd, file, (), ledger.messages, trust_tail=False)
        made = note(mbox, file, found._replace(torn=True), (), ledger.messages)
        if _words(system.fstat(fd), ()) != _words(status, ()):
            return
    except NotWhole:
        return
    finally:
        durable.close_read(fd)
    with ledger.transaction():
        ledger.add_downloads(made.downloads)
        ledger.save(mbox, f"{status.st_dev}:", made.blocks)


def _words(status: system.stat_result, deliveries: Sequence[Delivered]) -> str:
    """What says, if it is the same again, that there is nothing to look for."""
    s = status
    newest = deliveries[-1].id if deliveries else 0
    return f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}:{newest}"


def _check_file_system(
    noted: str, status: system.stat_result, before: Sequence[Block], found: Found
) -> None:
    """Raise NotWhole where another disk seems to be in the place of the mbox's."""
    is_other = noted != "" and noted.partition(":")[0] != str(status.st_dev)
    if is_other and before and len(found.vanished) == sum(block.messages for block in before):
        raise NotWhole(
            "it is on another file system, and none of its messages are there; "
            "if that is right, remove pop-sync.db from the state directory"
        )


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
                with ledger.transaction():
                    ledger.set_state(download.mbox, {download.key}, "marked when it came")
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
