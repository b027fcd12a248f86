"""What a POP3 client downloads from a real Dovecot, as IMAP clients see it after `pop-sync`."""

from __future__ import annotations

import fcntl
import os
import poplib
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation import LDA
from tests.local8 import Person
from tests.mboxreader import read_mbox
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    by_imap,
    imap_session,
    letter,
    pop3_session,
    send_from_outside,
    subject_of,
)
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

MDELIVER = LDA.with_name("mdeliver")


def choose(person: Person, *lines: str) -> None:
    """Make LINES the person's choices."""
    path = person.home / ".config" / "mdeliver" / "pop-sync.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    for made in (path, path.parent, path.parent.parent):
        os.chown(made, person.uid, person.gid)
    path.chmod(0o600)


def command(person: Person, *options: str) -> list[str]:
    return [str(MDELIVER), "pop-sync", "--user", person.name, *options]


def once(person: Person, *options: str) -> str:
    """`mdeliver pop-sync --once`; what it printed."""
    done = subprocess.run(
        command(person, "--once", *options), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    return done.stdout


@contextmanager
def daemon(person: Person) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon of one user, ready; ended by SIGTERM unless it was killed."""
    log = person.home / "pop-sync.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command(person), stdout=said, stderr=said)
        try:
            wait_for(lambda: b"ready" in log.read_bytes() or process.poll() is not None, "ready")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
            status = process.wait(120)
    assert status in (0, -signal.SIGKILL), log.read_text()


def is_free(person: Person) -> bool:
    """Whether no process looks at the person's mail: another one would be refused."""
    with (person.home / ".local/state/mdeliver/pop-sync.lock").open("rb+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def bring(postfix: Postfix, person: Person, *subjects: str) -> None:
    """Deliver one letter for each of SUBJECTS."""
    sent = [
        send_from_outside(postfix, letter(s, to=address(person)), to=address(person))
        for s in subjects
    ]
    for queue_id in sent:
        postfix.wait_until_delivered(queue_id)


def number_of(session: poplib.POP3, subject: str) -> int:
    """The POP3 number of the message SUBJECT, by TOP, which downloads nothing."""
    for number in range(1, len(session.list()[1]) + 1):
        if f"Subject: {subject}".encode() in session.top(number, 0)[1]:
            return number
    raise AssertionError(f"POP3 has no {subject}")


def download(dovecot: Dovecot, person: Person, *subjects: str, delete: bool = False) -> None:
    """RETR, and DELE if wanted, then QUIT."""
    with pop3_session(dovecot, person) as session:
        for number in [number_of(session, subject) for subject in subjects]:
            session.retr(number)
            if delete:
                session.dele(number)


def seen(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> dict[str, bool]:
    """Subjects in the folder, and whether each is marked read."""
    return {subject_of(m.message): r"\Seen" in m.flags for m in by_imap(dovecot, person, folder)}


@pytest.mark.parametrize("delete", [False, True], ids=["left on the server", "deleted"])
def test_the_four_choices(postfix: Postfix, dovecot: Dovecot, ann: Person, delete: bool) -> None:
    year = time.strftime("%Y")
    choices: tuple[tuple[tuple[str, ...], str, bool], ...] = (
        (('downloaded = "keep"',), "INBOX", False),
        (('downloaded = "read"',), "INBOX", True),
        (('downloaded = "archive"',), "Archive", True),
        (
            ('downloaded = "archive"', 'archive = "Archive/{year}"', "mark_read = false"),
            f"Archive.{year}",
            False,
        ),
        (('downloaded = "delete"',), "Trash", True),
    )
    for number, (lines, folder, read) in enumerate(choices):
        choose(ann, *lines)
        bring(postfix, ann, f"fetched {number}", f"left {number}")
        assert once(ann) == ""
        download(dovecot, ann, f"fetched {number}", delete=delete)
        once(ann)
        assert seen(dovecot, ann, folder)[f"fetched {number}"] is read
        assert seen(dovecot, ann)[f"left {number}"] is False
        assert once(ann) == ""


def test_what_top_shows_is_not_downloaded(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'downloaded = "read"')
    bring(postfix, ann, "looked at", "fetched")
    with pop3_session(dovecot, ann) as session:
        session.top(1, 5)
    assert once(ann) == ""
    download(dovecot, ann, "fetched")
    once(ann)
    assert seen(dovecot, ann) == {"looked at": False, "fetched": True}


def test_a_client_that_breaks_off(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'downloaded = "read"')
    bring(postfix, ann, "one", "two")
    with pop3_session(dovecot, ann) as session:
        session.retr(number_of(session, "one"))
        session.dele(number_of(session, "two"))
        session.close()
    # Dovecot writes that `one` was read with its next write to the file; DELE without QUIT is void.
    download(dovecot, ann, "two")
    once(ann)
    assert seen(dovecot, ann)["two"]
    assert {subject_of(m.message) for m in read_mbox(dovecot.mbox(ann))} == {"one", "two"}


def test_what_the_user_has_done_stays(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'downloaded = "archive"')
    bring(postfix, ann, "flagged", "answered", "moved", "gone", "plain")
    with imap_session(dovecot, ann) as imap:
        imap.create("Work")
        imap.select("INBOX")
        for subject in ("flagged", "answered", "moved", "gone"):
            (number,) = imap.search(None, "SUBJECT", subject)[1][0].split()
            if subject == "moved":
                imap.copy(number, "Work")
            flag = {"flagged": r"\Flagged", "answered": r"\Answered"}.get(subject, r"\Deleted")
            imap.store(number.decode(), "+FLAGS", flag)
        imap.expunge()
    download(dovecot, ann, "flagged", "answered", "moved", "gone", "plain", delete=True)
    said = once(ann)
    assert seen(dovecot, ann) == {"flagged": True, "answered": True}
    assert seen(dovecot, ann, "Work") == {"moved": True}
    assert seen(dovecot, ann, "Archive") == {"plain": True}
    assert "gone@example.net" not in said


def test_mail_that_was_there_before_the_log(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    choose(ann, 'downloaded = "read"')
    bring(postfix, ann, "old one", "old two", "old three")
    (ann.home / ".local" / "state" / "mdeliver" / "log").unlink()
    once(ann)
    download(dovecot, ann, "old one")
    download(dovecot, ann, "old three", delete=True)
    once(ann)
    assert seen(dovecot, ann) == {"old one": True, "old two": False, "old three": True}


def test_a_sender_cannot_mark_mail_as_downloaded(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    choose(ann, 'downloaded = "delete"')
    forged = letter("forged", to=address(ann)).replace(b"Subject", b"Status: RO\nSubject", 1)
    postfix.wait_until_delivered(send_from_outside(postfix, forged, to=address(ann)))
    assert once(ann) == ""
    assert seen(dovecot, ann) == {"forged": False}
    download(dovecot, ann, "forged", delete=True)
    once(ann)
    assert seen(dovecot, ann, "Trash") == {"forged": True}


def test_a_dry_run_does_nothing(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'downloaded = "read"')
    bring(postfix, ann, "one")
    download(dovecot, ann, "one")
    said = once(ann, "--dry-run", "--json")
    assert '"deed": "marked read"' in said
    assert '"done": false' in said
    assert seen(dovecot, ann) == {"one": False}
    assert not (ann.home / ".local/state/mdeliver/pop-sync.db").exists()


def test_a_connected_client_sees_the_mark(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'downloaded = "read"')
    bring(postfix, ann, "one", "two")
    with daemon(ann), imap_session(dovecot, ann) as imap:
        imap.select("INBOX")
        for subject in ("one", "two"):
            download(dovecot, ann, subject)

            def marked(subject: str = subject) -> bool:
                imap.noop()
                return bool(imap.search(None, "SEEN", "SUBJECT", subject)[1][0])

            wait_for(marked, f"{subject} to be seen")


def test_killed_and_restarted_while_mail_comes_and_goes(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    choose(ann, 'downloaded = "read"')
    fetched = [f"fetched {n}." for n in range(10)]
    left = [f"left {n}." for n in range(200)]
    bring(postfix, ann, *fetched)
    with ThreadPoolExecutor(2) as pool, daemon(ann) as first:
        arriving = pool.submit(bring, postfix, ann, *left)
        for subject in fetched[:4]:
            download(dovecot, ann, subject, delete=subject in fetched[:2])
        first.kill()
        first.wait()
        for subject in fetched[4:6]:
            download(dovecot, ann, subject, delete=subject == fetched[4])
        arriving.result()
    wait_for(lambda: is_free(ann), "a look that the killed one had begun to end")
    with daemon(ann):
        for subject in fetched[6:]:
            download(dovecot, ann, subject)
        wanted = dict.fromkeys(fetched, True) | dict.fromkeys(left, False)
        wait_for(lambda: seen(dovecot, ann) == wanted, "all marks, and none besides")
    in_mbox = {subject_of(m.message) for m in read_mbox(dovecot.mbox(ann))}
    assert in_mbox == {*left, *fetched[2:4], fetched[5], *fetched[6:]}


def test_what_is_deleted_in_imap_leaves_pop3(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    choose(ann, 'downloaded = "read"', "both_ways = true")
    bring(postfix, ann, "deleted", "thrown away", "fetched", "kept")
    with daemon(ann), imap_session(dovecot, ann) as imap:
        before = pop3_uids(dovecot, ann)
        download(dovecot, ann, "fetched")
        wait_for(lambda: seen(dovecot, ann).get("fetched"), "the mark")
        imap.create("Trash")
        imap.select("INBOX")
        for subject in ("deleted", "thrown away", "fetched"):
            (number,) = imap.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
            if subject == "thrown away":
                imap.copy(number, "Trash")
            imap.store(number.decode(), "+FLAGS", r"\Deleted")
        imap.expunge()
        wait_for(lambda: pop3_count(dovecot, ann) == 2, "two to leave")
        bring(postfix, ann, "later")
    after = pop3_uids(dovecot, ann)
    assert sorted(after) == ["fetched", "kept", "later"]
    # A client that leaves mail on the server knows what it has by these.
    assert [after[subject] for subject in ("fetched", "kept")] == [
        before[subject] for subject in ("fetched", "kept")
    ]
    assert seen(dovecot, ann, "Trash") == {"thrown away": False}


def pop3_uids(dovecot: Dovecot, person: Person) -> dict[str, bytes]:
    """What POP3 has: subjects, and the UIDL of each."""
    found = {}
    with pop3_session(dovecot, person) as session:
        for line in session.uidl()[1]:
            number, uid = line.split()
            (subject,) = [
                text.removeprefix(b"Subject: ").decode()
                for text in session.top(int(number), 0)[1]
                if text.startswith(b"Subject: ")
            ]
            found[subject] = uid
    return found


def pop3_count(dovecot: Dovecot, person: Person) -> int:
    """How many messages POP3 has; none is asked for, which may leave in that moment."""
    with pop3_session(dovecot, person) as session:
        return session.stat()[0]


def test_which_mail_pop3_gets(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    choose(ann, 'pop3_gets = "nothing"')
    bring(postfix, ann, "one", "two")
    assert pop3_uids(dovecot, ann) == {}
    assert set(seen(dovecot, ann)) == {"one", "two"}
    choose(ann, 'pop3_gets = "mail from now on"', 'downloaded = "read"')
    bring(postfix, ann, "three")
    once(ann)
    assert sorted(pop3_uids(dovecot, ann)) == ["three"]
    choose(ann, 'pop3_gets = "all mail"', 'downloaded = "read"')
    assert once(ann).count("is for POP3 too: put there") == 2
    assert sorted(pop3_uids(dovecot, ann)) == ["one", "three", "two"]
    download(dovecot, ann, "one", delete=True)
    once(ann)
    assert seen(dovecot, ann) == {"one": True, "two": False, "three": False}
    assert sorted(pop3_uids(dovecot, ann)) == ["three", "two"]


def test_all_users_of_the_site(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person, tmp_path: Path
) -> None:
    settings = tmp_path / "mdeliver.toml"
    settings.write_text(
        f'[pop_sync]\nusers = ["{ann.name}", "{bob.name}"]\ndownloaded = "read"\n'
        f'remember = "{tmp_path}/looks"\n'
    )
    choose(bob, 'downloaded = "archive"')
    for person in (ann, bob):
        bring(postfix, person, "before", "later")
        download(dovecot, person, "before")
    log = tmp_path / "log"
    run = [str(MDELIVER), "pop-sync", "--settings", str(settings)]
    with log.open("wb") as said, subprocess.Popen(run, stdout=said, stderr=said) as process:
        try:
            wait_for(lambda: seen(dovecot, bob, "Archive") == {"before": True}, "the catching up")
            for person in (ann, bob):
                download(dovecot, person, "later", delete=True)
            both = {"before": True, "later": True}
            wait_for(lambda: seen(dovecot, ann) == both, "the mark for ann")
            wait_for(lambda: len(seen(dovecot, bob, "Archive")) == 2, "the move for bob")
        finally:
            process.terminate()
            status = process.wait(120)
    assert status == 0, log.read_text()
    assert f"{bob.name}: <later@example.net> removed by POP3: archived" in log.read_text()
    made = ann.home / ".local" / "state" / "mdeliver" / "pop-sync.db"
    assert made.stat().st_uid == ann.uid
