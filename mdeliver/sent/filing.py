"""A sent message is in the Sent folder once, also where the client puts a copy of its own there.

Before       the folder is looked through for the message; if it is there, no copy is filed.
Afterwards   a client may upload its copy a moment later. What was filed is remembered for an hour,
             and every delivery to this user looks again: where another copy has come, ours goes,
             since the client knows its own. A copy that somebody has flagged or answered stays.
The same     is what has the same Message-ID, and if it was resent the same Resent-Message-ID and
             Resent-Date; without one, what Postfix gave the same queue id.
Recent       names of Maildir begin with the time: only what came within two days is opened.
One          delivery at a time files into Sent (a lock in the state directory): a message to
             oneself comes by two, with and without the tag, and both would find nothing.
Retry        what an earlier attempt planned is completed by the journal, whatever is found here.
State        DIRECTORY/sent-copies: a line for each copy: time, name (a hash), path of the folder
Fails with   OSError and Deferral of the delivery alone: looking again is nobody's loss
See also     deliver/transaction.py; agent.py, whose way this is put into
"""

from __future__ import annotations

from _blake2 import blake2b

from mdeliver import durable, limits, locks, system
from mdeliver.deliver import quota
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.outcome import Deferral
from mdeliver.plan import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdeliver.letter import Letter
    from mdeliver.outcome import Outcome
    from mdeliver.plan import Plan

STATE = "sent-copies"

RECENT_S = 2 * 86400
"""How far back copies of the same message are looked for."""

AGAIN_S = 3600
"""How long a client has for its upload."""

EARLY_S = 120
"""Clocks, and clients that upload before they send: so much older names are looked at too."""

_STATE_BYTES = 1 << 20
_HEAD_BYTES = 64 << 10
_TIME_DIGITS = 12

_IDENTIFYING = ("message-id", "resent-message-id", "resent-date")


def file_once(
    plan: Plan, letter: Letter, state: str, now_s: float, do: Callable[[Plan], Outcome]
) -> Outcome:
    """Carry out PLAN by DO, without copies for Sent where the message is there already.

    state  the state directory
    now_s  seconds since 1970
    """
    name = message_name(letter.head)
    path = system.join(state, STATE)
    fd = durable.open_own_file(path, create=True)
    try:
        patience = locks.Patience(limits.LOCK_WAIT_S)
        while not locks.try_lock(fd, 0, locks.WHOLE_FILE, exclusive=True):
            patience.wait("another delivery to the Sent folder")
        copies = [a for a in plan.actions if isinstance(a, File) and a.once]
        there = [a for a in copies if name and _is_there(a.path, name, now_s - RECENT_S)]
        actions = tuple([action for action in plan.actions if action not in there])
        outcome = do(plan.replace(actions=actions))
        if name and outcome.fate == "delivered":
            try:
                filed = [a.path for a in copies if a not in there]
                _look_again(fd, path, now_s, filed, name)
            except OSError:
                pass  # the message is delivered: a later upload of it stays beside it
        return outcome
    finally:
        durable.close_read(fd)


def look_again(state: str, now_s: float) -> None:
    """Remove copies of ours beside which clients have put their own; never raises OSError."""
    path = system.join(state, STATE)
    try:
        fd = durable.open_own_file(path, create=False)
        try:
            if durable.size_of(fd) and locks.try_lock(fd, 0, locks.WHOLE_FILE, exclusive=True):
                _look_again(fd, path, now_s, [], "")
        finally:
            durable.close_read(fd)
    except (OSError, Deferral):
        pass  # the next delivery looks again


def _look_again(fd: int, path: str, now_s: float, filed: list[str], name: str) -> None:
    """Look at all that is remembered in PATH, open as FD, and remember the copies of NAME in the
    folders FILED too."""
    before = durable.read_at(fd, _STATE_BYTES, 0)
    known, foreign = _remembered(before)
    size = durable.size_of(fd)
    foreign += size - len(before)
    kept = [entry for entry in known if now_s - entry[0] < AGAIN_S and not _is_mended(entry)]
    kept += [(int(now_s), name, path) for path in filed]
    lines = [f"{time_s} {n} {p}\n" for time_s, n, p in kept if "\n" not in p]
    after = "".join(lines).encode("utf-8", "surrogateescape")
    if foreign:
        from mdeliver import damage

        was = durable.read_at(fd, limits.DAMAGED_BYTES, 0)
        found = damage.kept(path, f"{foreign} octets of it told of no copy", was, size)
        _write(fd, after)
        damage.note(found)
    elif after != before:
        _write(fd, after)


def _write(fd: int, octets: bytes) -> None:
    durable.truncate(fd, 0)
    durable.write_all(fd, octets)


def _remembered(octets: bytes) -> tuple[list[tuple[int, str, str]], int]:
    """The entries in OCTETS; and how many octets were none, but for a last line that is cut."""
    known, foreign = [], 0
    *lines, cut = octets.split(b"\n")
    for line in [*lines, cut]:
        words = line.decode("utf-8", "surrogateescape").split(" ", 2)
        is_entry = len(words) == 3 and words[0].isdecimal() and len(words[0]) <= _TIME_DIGITS
        # A power cut may have left anything here.
        if is_entry and "\0" not in words[2]:
            known.append((int(words[0]), words[1], words[2]))
        elif line and (line is not cut or not _may_be_cut(words[0])):
            foreign += len(line)
    return known, foreign


def _may_be_cut(time: str) -> bool:
    """Whether a last line whose first word is TIME is the beginning of one of ours."""
    return time.isdecimal() and len(time) <= _TIME_DIGITS


def _is_mended(entry: tuple[int, str, str]) -> bool:
    """Whether another copy of what was filed has come; then ours is gone, unless it is in use."""
    time_s, name, path = entry
    found = list(_copies(path, name, time_s - EARLY_S))
    ours = [copy for copy in found if _is_ours(copy)]
    if len(found) == len(ours):
        return False
    for copy in ours:
        flags = copy.rpartition(":2,")[2] if ":2," in copy else ""
        if flags in ("", "S"):
            try:
                size = system.stat(copy).st_size
            except FileNotFoundError:
                continue  # a client has just moved it
            if durable.remove(copy):
                quota.count(_root_of(path), -size, -1)
    return True


def _root_of(path: str) -> str:
    """The Maildir of a Maildir++ folder."""
    return system.dirname(path) if path.rpartition("/")[2].startswith(".") else path


def _is_there(path: str, name: str, since_s: float) -> bool:
    return next(_copies(path, name, since_s), None) is not None


def _copies(path: str, name: str, since_s: float) -> Iterator[str]:
    """The files of the message NAME in the Maildir folder PATH that came after SINCE_S."""
    for part in ("cur", "new"):
        directory = system.join(path, part)
        for entry in durable.names_in(directory):
            seconds = entry.partition(".")[0]
            if seconds.isdecimal() and int(seconds) < since_s:
                continue
            file = system.join(directory, entry)
            try:
                head = durable.read_file(file, _HEAD_BYTES)
            except OSError:
                continue
            if message_name(letter_of(head).head) == name:
                yield file


def _is_ours(path: str) -> bool:
    """Whether the file has a name of maildir.py's making: SECONDS.M…P…K….HOST."""
    unique = path.rpartition("/")[2].split(".", 2)
    if len(unique) < 3 or unique[1][:1] != "M":
        return False
    key = unique[1].partition("K")[2]
    return len(key) == 12 and all(c in "0123456789abcdef" for c in key)


def message_name(head: bytes) -> str:
    """What all copies of one message have in common, as a hash; "" if nothing is sure."""
    message = Message(head, len(head))
    words = [b" ".join(value.split()) for name in _IDENTIFYING for value in message.raw(name)]
    if not message.raw("message-id"):
        # Postfix's own words: by HOST (Postfix) with ESMTPSA id QUEUEID
        received = b" ".join(message.raw("received")[:1]).split()
        if b"id" not in received[:-1]:
            return ""
        words.append(received[received.index(b"id") + 1].rstrip(b";"))
    return blake2b(b"\n".join(words), digest_size=16).hexdigest()
