"""Deliver several messages of one user at once: group commit.

Each has its own line in the journal, its own letters and its own copies, and each step is taken for
all before the next one: all tmp files are written and on their way to the disk, then each is
synced; one write and one sync for all lines; then all copies are made visible, each mbox is synced
once, and each directory once. So every guarantee of transaction.py holds for each message.

An mbox is locked once, for all that is appended to it (mboxturn.py); the lines of these messages
have the same turn, so that whoever finds a torn tail knows whose it may be (journal.py).

One bad message   fails nobody else: whatever goes wrong, all is taken back, the last message first,
                  and everybody is to be delivered alone, where only the bad one fails.
Taken             what is only filed, has no earlier attempt that is still of interest, and is not
                  in the same batch already. All else is for transaction.py.
Fails with        nothing but what no `Exception` is (the deadline): all is taken back then. Where
                  it comes when all is done, that is said all the same: Done.words
See also          transaction.py, steps.py
"""

from __future__ import annotations

import time

from mdeliver import limits
from mdeliver.deliver.contents import Contents
from mdeliver.deliver.deliverers import Attempt, deliverer_of
from mdeliver.deliver.journal import Journal, begin_together
from mdeliver.deliver.maildir import refuse_if_all_is_too_much, sync_names
from mdeliver.deliver.mboxturn import MboxTurns, same_place
from mdeliver.deliver.steps import Transaction
from mdeliver.deliver.transaction import Done, distinct, finish, from_line_of, key_of
from mdeliver.locks import give_back
from mdeliver.outcome import Deferral
from mdeliver.plan import File
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.deliver.journalfile import KeptJournal
    from mdeliver.deliver.mboxturn import MboxTurn
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.plan import Action


class Wanted(Record):
    """One message to be delivered; the fields are the arguments of deliver_files."""

    actions: tuple[Action, ...]
    letter: Letter
    envelope: Envelope
    now_s: float
    rules: str
    done: Done


def deliver_together(
    wanted: Sequence[Wanted], *, journal_file: KeptJournal, state_directory: str, hostname: str
) -> list[str | None]:
    """Deliver all that is WANTED.

    state_directory  absolute, exists; JOURNAL_FILE is in it
    hostname         for unique names and lock files
    Returns for each a few words on what was done; None where nothing was, and it is to be delivered
    alone. Raises only what is no Exception.
    """
    turns = MboxTurns(hostname, limits.LOCK_WAIT_TOGETHER_S)
    group: list[tuple[int, Transaction]] = []
    words: list[str | None] = [None] * len(wanted)
    try:
        for number, one in enumerate(wanted):
            transaction = _transaction_of(one, journal_file, state_directory, hostname, turns)
            if transaction is not None:
                group.append((number, transaction))
        transactions = [transaction for _number, transaction in group]
        if transactions:
            _take_steps(transactions, turns)
            for number, transaction in group:
                transaction.finish()
                words[number] = finish(transaction, wanted[number].done)
    except Exception:
        pass  # nothing was done of those without words; alone, they tell what is wrong
    except BaseException:
        for number, transaction in group:
            if transaction.lasts and not wanted[number].done.words:
                finish(transaction, wanted[number].done)
        raise
    finally:
        _close(group)
    return words


def _close(group: list[tuple[int, Transaction]]) -> None:
    for _number, transaction in group:
        try:
            transaction.attempt.journal.close()
        except OSError:
            pass  # it is closed with the file then


def _transaction_of(
    wanted: Wanted,
    journal_file: KeptJournal,
    state_directory: str,
    hostname: str,
    turns: MboxTurns,
) -> Transaction | None:
    """The transaction of one message; None where it has to be alone."""
    key = key_of(wanted.letter, wanted.envelope, wanted.rules)
    if key in journal_file.keys:
        return None
    try:
        journal = Journal(state_directory, key, journal_file, limits.LOCK_WAIT_TOGETHER_S)
    except Deferral:
        return None  # another process is at this one: the others need not wait for it
    try:
        if journal.earlier() is None:
            attempt = Attempt(
                Contents(wanted.letter, {}),
                wanted.envelope,
                from_line_of(wanted.letter, wanted.envelope, wanted.now_s),
                journal,
                hostname,
                state_directory,
                "",
                turns,
            )
            files = [file for file in wanted.actions if isinstance(file, File)]
            copies = [deliverer_of(file, attempt) for file in distinct(tuple(files))]
            return Transaction(attempt, copies, None)
    except BaseException:
        journal.close()
        raise
    journal.close()
    return None


def _take_steps(transactions: list[Transaction], turns: MboxTurns) -> None:
    """Steps 2 to 6 for all, and the way back."""
    journals = [transaction.attempt.journal for transaction in transactions]
    copies = [copy for transaction in transactions for copy in transaction.copies]
    refuse_if_all_is_too_much(copies)
    held = turns.take_all(_mboxes_of(transactions))
    lasting = False
    try:
        for transaction in transactions:
            transaction.prepare()
        turn_ns = time.time_ns()
        for transaction in transactions:
            transaction.attempt.journal.compose(*transaction.line(), turn_ns)
        begin_together(journals)
        for transaction in transactions:
            transaction.begun()
        for transaction in transactions:
            transaction.settle()
        journals[0].settle()
        for transaction in transactions:
            transaction.commit()
        for turn in held:
            turn.sync()
        sync_names(copies)
        for journal in journals:
            journal.state(b"D")
        lasting = True
    except BaseException:
        if not lasting:
            for transaction in reversed(transactions):
                transaction.roll_back()
        raise
    finally:
        for transaction in transactions:
            transaction.lasts = lasting
        _release(transactions, turns, held)


def _mboxes_of(transactions: list[Transaction]) -> list[str]:
    """The mboxes of all; raises ValueError where two names are one file's."""
    paths = {
        words[1]
        for transaction in transactions
        for copy in transaction.copies
        if (words := copy.words())[0] == "mbox"
    }
    named = sorted(paths)
    for number, path in enumerate(named):
        if any(same_place(path, other) for other in named[:number]):
            raise ValueError(f"{path} has two names")
    return named


def _release(transactions: list[Transaction], turns: MboxTurns, held: list[MboxTurn]) -> None:
    """Give everything back, whatever happens at one of it."""
    try:
        give_back(lambda transaction: transaction.release(), transactions)
    finally:
        give_back(turns.leave, held)
