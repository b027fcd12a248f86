"""Carry out a plan: every place gets its copy exactly once, or the message stays in the queue.

    1  Lock the message's key in the journal; see what an earlier attempt came to.
    2  Prepare every place: tmp files written, mboxes locked, ends known. Nothing is visible yet.
    3  Write the journal's line. Sync tmp files and line together: all is on disk before step 4.
    4  Commit: append to mboxes, rename into Maildirs; one unsynced letter after each.
    5  Sync files and directories. Then what cannot be undone (forward, pipe), one after the other,
       a synced letter after each.
    6  Letter D: done. Only now may success be told. All locks are given back.
    7  What has no say (run, reply), a synced letter before each. Letter F.

What can be on disk, and what a retry of the same message makes of it:

    killed in   journal      mailboxes                       the retry
    2           -            a file in tmp                   removes it, starts afresh
    3           torn line    a file in tmp                   likewise; a torn line counts as none
    3           .            a file in tmp, maybe torn       removes it, writes it again
    4, 5        .            some copies; mbox maybe torn    completes what is missing, by the plan
                                                             and the From_ line of the first attempt
                                                             (a program that was at work runs again)
    6           D            all copies                      says success, delivers nothing
    7           D            all copies                      likewise, and does what was not begun
    later       F            all copies                      likewise, if an MTA brings it again
An error in 2 to 5 takes everything back in reverse and leaves R, which counts as no line. Before
a copy is taken back its letter becomes u, so that no letter ever claims more than there is; a copy
that a client has already moved stays, the line stays open, and the retry completes the others: so
too where something was done that cannot be undone.

Fails with  OSError, Deferral: the message is in no place, or the journal says in which.
See also    steps.py (each step), together.py (many messages), journal.py, deliverers.py;
            SECURITY.md names what remains
"""

from __future__ import annotations

from mdeliver import system
from mdeliver.deliver.contents import Contents
from mdeliver.deliver.deliverers import (
    Attempt,
    deliverer_of,
    deliveries_in,
    delivery_of,
    filters_of,
)
from mdeliver.deliver.journal import Journal, Recorded, message_key
from mdeliver.deliver.maildir import temporary_path
from mdeliver.deliver.mboxrd import make_from_line, tidy_from_line
from mdeliver.deliver.steps import Transaction
from mdeliver.dotlock import remove_if_stale
from mdeliver.durable import remove
from mdeliver.plan import File
from mdeliver.settings import SENDMAIL_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.deliver.deliverers import Copy
    from mdeliver.deliver.journalfile import JournalFile
    from mdeliver.deliver.kept import Kept
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.plan import Action, Delivery


class Done:
    """Where the copies of a message are, once `deliver_files` has returned.

    places     each place as the journal has it: the deliverers' `words`
    from_line  of the copies in mboxes
    words      a few words on what was done; "" as long as it may have to be done again
    """

    __slots__ = ("from_line", "places", "words")

    def __init__(self) -> None:
        self.words = ""
        self.places: tuple[tuple[str, ...], ...] = ()
        self.from_line = b""


def deliver_files(
    actions: tuple[Action, ...],
    letter: Letter,
    envelope: Envelope,
    *,
    filtered: tuple[Letter, ...] = (),
    state_directory: str,
    hostname: str,
    now_s: float,
    sendmail: str = SENDMAIL_PATH,
    rules: str = "",
    done: Done | None = None,
    journal_file: JournalFile | None = None,
) -> str:
    """Do all of ACTIONS with the message, or raise and leave it nowhere.

    actions          () where rules name no place: what an earlier attempt planned is completed
    filtered         what filters made of it (Plan.filtered)
    state_directory  absolute, exists; holds the journal
    hostname         for unique names and lock files
    now_s            arrival, seconds since 1970
    sendmail         the program that takes what is forwarded, and replies
    rules            the option --rules: under other rules it is another delivery
    done             gets where the copies are
    journal_file     the journal, where this process keeps it open
    Returns a few words on what was done, "" for nothing. Raises OSError or Deferral.
    """
    journal = Journal(state_directory, key_of(letter, envelope, rules), journal_file)
    done = done or Done()
    kept: Kept | None = None
    try:
        earlier = _to_complete(journal, letter, envelope)
        if earlier is not None:
            deliveries = tuple(delivery_of(words) for words in earlier.places)
            from_line = earlier.from_line
        else:
            deliveries = distinct(deliveries_in(actions))
            from_line = from_line_of(letter, envelope, now_s)
        if not deliveries:
            return ""
        kept = _kept(journal, deliveries, state_directory, filtered, fresh=earlier is None)
        contents = Contents(letter, kept.letters if kept is not None else {})
        this = Attempt(contents, envelope, from_line, journal, hostname, state_directory, sendmail)
        if earlier is not None and earlier.state != ".":
            return _finish_again(this, earlier, deliveries, done)
        return _deliver(this, earlier, deliveries, done)
    finally:
        if kept is not None:
            kept.close(forget=not journal.is_open)
        journal.close()


def _to_complete(journal: Journal, letter: Letter, envelope: Envelope) -> Recorded | None:
    """The earlier attempt at this message that is to be completed, or was complete; or none."""
    earlier = journal.earlier()
    if earlier is None or earlier.state == "." or _is_second(earlier, letter, envelope):
        return earlier
    return None


def _kept(
    journal: Journal,
    deliveries: tuple[Delivery, ...],
    state_directory: str,
    filtered: tuple[Letter, ...],
    *,
    fresh: bool,
) -> Kept | None:
    """What filters made of what DELIVERIES take: kept, or FRESH; None where none takes any."""
    numbers = filters_of(deliveries)
    if not numbers:
        return None
    from mdeliver.deliver.kept import Kept

    kept = Kept(state_directory, journal.key, numbers)
    if fresh:
        kept.keep(filtered)
    else:
        kept.fetch()
    return kept


def _deliver(
    attempt: Attempt, earlier: Recorded | None, deliveries: tuple[Delivery, ...], done: Done
) -> str:
    """Make DELIVERIES, or complete EARLIER; a few words on what was done."""
    copies = [deliverer_of(delivery, attempt) for delivery in deliveries]
    transaction = Transaction(attempt, copies, earlier)
    try:
        transaction.take_all()
        _do_besides(attempt.journal, list(enumerate(copies)))
        return finish(transaction, done)
    except Exception:
        raise
    except BaseException:
        # The deadline's alarm. What has no say, and was not begun, is left to the retry.
        if transaction.lasts and all(copy.done for copy in copies if copy.phase == "besides"):
            finish(transaction, done)
        raise


def finish(transaction: Transaction, done: Done) -> str:
    """Say F of a delivery that lasts, and in DONE what it came to; a few words on it."""
    attempt, copies = transaction.attempt, transaction.copies
    done.places = tuple([copy.words() for copy in copies])
    done.from_line = attempt.from_line
    return _say_f(attempt.journal, done, done_words(copies))


def _say_f(journal: Journal, done: Done, words: str) -> str:
    """Letter F: from now on the MTA may be told WORDS, and must not be told anything else.

    Where nothing else tells a message from another one with the same octets, it would come twice.
    """
    try:
        journal.state(b"F")
        done.words = words
    except Exception:
        raise
    except BaseException:
        # The alarm, which comes once: before the letter, after it, nobody knows.
        journal.state(b"F")
        done.words = words
        raise
    return words


def key_of(letter: Letter, envelope: Envelope, rules: str) -> bytes:
    """The key of this message in the journal."""
    words = [envelope.user, envelope.recipient, envelope.sender, rules]
    if envelope.queue_id:
        words.append(envelope.queue_id)
    return message_key(*(w.encode("utf-8", "surrogateescape") for w in words), letter.digest)


def done_words(copies: list[Copy]) -> str:
    """What was done, for the one line that the MTA logs."""
    files = [copy for copy in copies if copy.phase == "undoable"]
    before = sum(copy.done for copy in files)
    places = "1 place" if len(files) == 1 else f"{len(files)} places"
    if before and before == len(files):
        places, before = f"{places} by an earlier attempt", 0
    words = [f"delivered to {places}"] if files or len(copies) == 0 else []
    words += [copy.words()[0] for copy in copies if copy.phase == "final"]
    words += [copy.remark for copy in copies if copy.remark]
    return ", ".join(words) + (f", {before} of them before" if before else "")


def from_line_of(letter: Letter, envelope: Envelope, now_s: float) -> bytes:
    """The From_ line for mboxes: the MTA's, or one of our own where none came."""
    if letter.from_line:
        return tidy_from_line(letter.from_line)
    return make_from_line(envelope.sender, now_s)


def _is_second(earlier: Recorded, letter: Letter, envelope: Envelope) -> bool:
    """Whether EARLIER is this message, finished and brought again, and not one with its words.

    D without F is an attempt that was cut short: the MTA cannot have heard of its success. After
    F, an MTA brings the same octets again later (its From_ line is the time of the attempt), or at
    once, if two recipients of one message come to the same mailbox; then its Received line, with
    queue id and time, makes the octets unique. Anybody else may feed us one file twice.
    """
    if earlier.state not in ("D", "F"):
        return False
    came_again = earlier.from_came != letter.from_line
    return earlier.state == "D" or came_again or comes_by_mta(letter, envelope)


def comes_by_mta(letter: Letter, envelope: Envelope) -> bool:
    """Whether an MTA brings the message, so that its octets are unlike those of any other."""
    if envelope.queue_id:
        return True
    return letter.from_line != b"" and b"\nreceived:" in b"\n" + letter.head.lower()


def _finish_again(
    attempt: Attempt, earlier: Recorded, deliveries: tuple[Delivery, ...], done: Done
) -> str:
    """Say F, for the attempt that may have been killed before it could; a few words."""
    attempt.journal.resume(earlier)
    _clear_left_over(earlier)
    if earlier.state == "D":
        # What is not marked by then has no say, and was not begun.
        _do_besides(
            attempt.journal,
            [
                (place, deliverer_of(delivery, attempt))
                for place, delivery in enumerate(deliveries)
                if earlier.marks[place] == "."
            ],
        )
    done.places, done.from_line = earlier.places, earlier.from_line
    return _say_f(attempt.journal, done, "delivered by an earlier attempt")


def _clear_left_over(earlier: Recorded) -> None:
    """Remove what an attempt left that was killed after it was done: lock files, and where a power
    cut kept a rename only by half, the name in tmp."""
    for words in earlier.places:
        try:
            if words[0] == "mbox":
                remove_if_stale(words[1] + ".lock")
            elif words[0] == "maildir":
                remove(temporary_path(words[1], earlier.key))
        except OSError:
            pass  # the message is delivered; what is left is no reason to bring it again


def distinct(deliveries: tuple[Delivery, ...]) -> tuple[Delivery, ...]:
    """DELIVERIES without a second name of one place, such as a Maildir through a link.

    The second would wait for the lock of the first, or remove its temporary file.
    """
    stores = [file.store for file in deliveries if isinstance(file, File)]
    if len(stores) == len(set(stores)):
        return deliveries  # a Maildir is a directory, an mbox is none
    found: dict[tuple[object, ...], Delivery] = {}
    for file in deliveries:
        if not isinstance(file, File):
            found[len(found), "no place"] = file
            continue
        name = "" if file.store == "maildir" else file.path.rpartition("/")[2]
        try:
            status = system.stat(
                file.path if file.store == "maildir" else system.dirname(file.path)
            )
            place: tuple[object, ...] = (status.st_dev, status.st_ino, name)
        except OSError:
            place = (file.path,)
        named = found.get(place)
        if isinstance(named, File):
            flags = dict.fromkeys(named.flags + file.flags)
            file = named.replace(flags=tuple(flags), content=file.content)
        found[place] = file
    return tuple(found.values())


def _do_besides(journal: Journal, copies: list[tuple[int, Copy]]) -> None:
    """What has no say, now that the delivery is done and nothing is locked; each is tried once."""
    for place, copy in copies:
        if copy.phase == "besides" and not copy.done:
            copy.done = True
            journal.mark_durably(place, b"c")
            copy.commit()
