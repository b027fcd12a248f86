"""One step of `mdeliver apply`, done and undone; doing or undoing it again changes nothing.

Move    a message of a Maildir gets another name: in another folder, or with other flags
            source  target   what it means
            there   -        not done              -       there    done
            there   there    a copy to another file system was made, the source not yet removed
            -       -        a client has moved, marked or removed it: nothing is done
        The target is never written over. A file that a client merely took from new to cur, as all
        do that open the folder, still counts as there.
Copy    a message is put into one more place, by the deliverers and under their journal: the step's
        own name stands in place of a queue id, so that it happens once however often it is asked
        for. Taken back is a copy in a Maildir that has its flags, and the last one of an mbox.
Make    a folder is made. Taken back if it is empty.

Fails with  OSError, Deferral; Changed where somebody else has done something to the message
See also    records.py, apply.py; https://cr.yp.to/proto/maildir.html
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from mdeliver import durable, limits, system
from mdeliver.deliver import quota
from mdeliver.deliver.journal import Journal, message_key
from mdeliver.deliver.maildir import make_maildir
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.deliver.subscriptions import unsubscribe
from mdeliver.deliver.transaction import Done, deliver_files
from mdeliver.envelope import Envelope
from mdeliver.history.records import Copied, Copy, Make, Move
from mdeliver.letter import read_letter
from mdeliver.plan import File

_PARTS = ("new", "cur", "tmp")


class Changed(Exception):
    """A message is not as the step left it; the text says what is there now."""


class Deliverer(NamedTuple):
    """For whom, and with what, copies are made.

    state     the state directory
    applied   the record's id
    """

    envelope: Envelope
    state: str
    hostname: str
    applied: str


# --- names of messages in a Maildir ----------------------------------------------------------


def unique_of(path: str) -> str:
    """The part of a file's name that no mail program changes."""
    return path.rpartition("/")[2].partition(":")[0]


def letters_of(path: str) -> str:
    """The letters of its flags; "" where the name has none."""
    _, mark, letters = path.rpartition("/")[2].partition(":2,")
    return letters if mark else ""


def folder_of(path: str) -> str:
    """The Maildir that the message at PATH is in."""
    return system.dirname(system.dirname(path))


def where_now(path: str) -> str | None:
    """Where the message PATH of a Maildir is in its folder, if its flags are still the same."""
    if system.exists(path):
        return path
    unique, letters = unique_of(path), sorted(letters_of(path))
    for part in ("new", "cur"):
        directory = system.join(folder_of(path), part)
        for name in durable.names_in(directory):
            if unique_of(name) == unique and sorted(letters_of(name)) == letters:
                return system.join(directory, name)
    return None


def namesake(path: str) -> str | None:
    """The message PATH of a Maildir, with whatever flags it has now."""
    for part in ("new", "cur"):
        directory = system.join(folder_of(path), part)
        for name in durable.names_in(directory):
            if unique_of(name) == unique_of(path):
                return system.join(directory, name)
    return None


def trace_of(path: str) -> str:
    """What has become of the message PATH, in words."""
    now = namesake(path)
    return f"it has other flags now: {now}" if now else "it was moved or removed"


# --- moves -----------------------------------------------------------------------------------


def move(step: Move) -> None:
    """Do it, if it is not done. Raises Changed where the message is not there any more."""
    _carry(step.source, step.target, step.source_root, step.target_root)


def move_back(step: Move) -> None:
    """Undo it, if it is done. Raises Changed, and changes nothing then."""
    check_move(step)
    now = where_now(step.target)
    if now is not None:
        _carry(now, step.source, step.target_root, step.source_root)


def check_move(step: Move) -> None:
    """Raise Changed where `move_back` would."""
    if where_now(step.target) is None and where_now(step.source) is None:
        raise Changed(f"{step.target}: {trace_of(step.target)}")


def _carry(source: str, target: str, source_root: str, target_root: str) -> None:
    there, done = system.exists(source), system.exists(target)
    if not there:
        # In another folder, whatever flags it has there by now: it was moved before a kill, and
        # undoing must know of it.
        elsewhere = folder_of(source) != folder_of(target) and namesake(target) is not None
        if not done and not elsewhere and where_now(target) is None:
            raise Changed(f"{source}: {trace_of(source)}")
        return
    if done and not _same_octets(source, target):
        raise Changed(f"{target} exists")
    octets = system.lstat(source).st_size
    if not done:
        try:
            durable.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_whole(source, target)
            done = True
    if done:
        durable.sync_directory(system.dirname(target))
        durable.remove(source)
    if source_root != target_root:
        quota.count(source_root, -octets, -1)
        quota.count(target_root, octets)


def _same_octets(one: str, other: str) -> bool:
    first, second = system.lstat(one), system.lstat(other)
    if system.same(first, second):
        return True
    if first.st_size != second.st_size:
        return False
    most = first.st_size + 1
    return durable.read_file(one, most) == durable.read_file(other, most)


def _copy_whole(source: str, target: str) -> None:
    """Make TARGET, on another file system, what SOURCE is; it appears whole."""
    temporary = system.join(folder_of(target), "tmp", f"mdeliver.{unique_of(target)}"[:250])
    durable.remove(temporary)
    reading = system.open(source, system.O_RDONLY | system.O_CLOEXEC | system.O_NOFOLLOW)
    try:
        status = system.fstat(reading)
        writing = durable.create(temporary)
        try:
            chunks = durable.read_chunks(reading, status.st_size, limits.COPY_BYTES)
            durable.write_chunks(writing, chunks)
            durable.sync(writing)
        finally:
            system.close(writing)
    finally:
        durable.close_read(reading)
    durable.set_time(temporary, status.st_mtime_ns)
    durable.rename(temporary, target)


# --- folders ---------------------------------------------------------------------------------


def make(step: Make) -> None:
    """Make the folder, as a delivery into it would."""
    make_maildir(File("maildir", step.path, step.root, None, None, (), None))


def unmake(step: Make) -> None:
    """Remove the folder, if nothing but what `make` made is in it."""
    if any(durable.names_in(system.join(step.path, part)) for part in _PARTS):
        return
    if set(durable.names_in(step.path)) - {*_PARTS, "maildirfolder"}:
        return
    is_folder = step.path != step.root and system.dirname(step.path) == step.root
    for part in _PARTS:
        durable.remove_directory(system.join(step.path, part))
    durable.remove(system.join(step.path, "maildirfolder"))
    if durable.remove_directory(step.path) and is_folder:
        unsubscribe(step.root, step.path.rpartition("/.")[2])


# --- copies ----------------------------------------------------------------------------------


def copy(step: Copy, deliverer: Deliverer) -> Copied:
    """Make the copy, if it is not made; where it is. Raises Changed where the message is gone."""
    file = _file(step)
    source = where_now(step.source)
    if source is None:
        raise Changed(f"{step.source}: {trace_of(step.source)}")
    reading = system.open(source, system.O_RDONLY | system.O_CLOEXEC | system.O_NOFOLLOW)
    done = Done()
    try:
        letter = read_letter(reading, deliverer.state)
        try:
            deliver_files(
                (file,),
                letter,
                _envelope(step, deliverer),
                state_directory=deliverer.state,
                hostname=deliverer.hostname,
                now_s=step.arrived_s,
                done=done,
            )
        finally:
            letter.close()
        time_ns = system.fstat(reading).st_mtime_ns
    finally:
        durable.close_read(reading)
    copied = Copied(done.places, system.from_octets(done.from_line))
    made = _in_maildir(step, copied)
    if made is not None:
        durable.set_time(made, time_ns)
    return copied


def _file(step: Copy) -> File:
    return File(step.store, step.path, step.root, None, None, step.flags, None)


def _envelope(step: Copy, deliverer: Deliverer) -> Envelope:
    """An envelope that no other delivery has: under it the journal knows this very step."""
    name = f"apply {deliverer.applied} {step.number}"
    return deliverer.envelope.replace(sender=step.sender, queue_id=name)


def _in_maildir(step: Copy, copied: Copied) -> str | None:
    """The copy in a Maildir, if it is there with the flags that it was given."""
    words = copied.places[0] if copied.places else ()
    if step.store != "maildir" or not words:
        return None
    letters = {"draft": "D", "flagged": "F", "answered": "R", "seen": "S"}
    marks = "".join([letters[flag] for flag in letters if flag in step.flags])
    if marks:
        return where_now(system.join(step.path, "cur", f"{words[-1]}:2,{marks}"))
    return where_now(system.join(step.path, "new", words[-1]))


def check_copy(step: Copy, copied: Copied) -> None:
    """Raise Changed where the copy is there, and not as it was made.

    One in an mbox is looked at when it is taken back.
    """
    if step.store == "maildir" and copied.places and _in_maildir(step, copied) is None:
        path = system.join(step.path, "cur", copied.places[0][-1])
        if namesake(path) is not None:
            raise Changed(f"{path}: {trace_of(path)}")


def copy_back(step: Copy, copied: Copied, deliverer: Deliverer) -> None:
    """Take the copy back, if it is there. Raises Changed, and changes nothing then."""
    if not copied.places:
        return
    if step.store == "mbox":
        _cut_off(step, copied, deliverer)
        return
    check_copy(step, copied)
    made = _in_maildir(step, copied)
    if made is not None:
        octets = system.lstat(made).st_size
        durable.remove(made)
        durable.sync_directory(system.dirname(made))
        quota.count(step.root, -octets, -1)


def _cut_off(step: Copy, copied: Copied, deliverer: Deliverer) -> None:
    """Take the copy off the end of an mbox, where nothing has come after it."""
    source = where_now(step.source)
    if source is None:
        raise Changed(f"{step.source}: {trace_of(step.source)}, so its copy cannot be told")
    reading = system.open(source, system.O_RDONLY | system.O_CLOEXEC | system.O_NOFOLLOW)
    try:
        letter = read_letter(reading, deliverer.state)
    finally:
        durable.close_read(reading)
    journal = Journal(deliverer.state, message_key(b"apply --undo", letter.digest))
    from_line = system.to_octets(copied.from_line)
    mbox = MboxCopy(_file(step), letter, from_line, journal, deliverer.hostname)
    try:
        mbox.prepare(copied.places[0], False)
        try:
            if mbox.done and not mbox.cut_off():
                raise Changed(f"{step.path}: the copy there is not its last message any more")
        finally:
            mbox.release()
    finally:
        journal.close()
        letter.close()
