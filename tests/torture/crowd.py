"""A crowd at one mbox and one Maildir: everybody who delivers, reads, moves and locks, at once.

At work   many deliveries by mdeliver-lda, procmail with its own locks, a POP3 client that deletes,
          an IMAP client that moves and marks (both through Dovecot), pop-sync, and those who lock
          the mbox by other programs and look whether anybody comes in meanwhile
Account   at the end of each round, when all are done: every message that was taken is in the mbox
          once or was deleted by the POP3 client once, and is once in the Maildir's folders
Seconds   of a round: CROWD in the environment, 20 if it is not set
"""

from __future__ import annotations

import imaplib
import os
import poplib
import random
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults import account
from tests.installation import LDA, open_directory, unreachable
from tests.local8 import Person, as_handed_over, environment, from_line, hand_over, identity
from tests.mboxreader import Torn
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import pop3_session
from tests.servers.people import PASSWORD, add_person, remove_person, write_rules
from tests.torture.stories import CannotBeHad

SECONDS = float(os.environ.get("CROWD", "20"))
ROUNDS = 9
DELIVERIES = 50
_PATIENCE_S = 330.0
_ID = re.compile(rb"^Message-ID: <([\w.]+)@crowd>$", re.MULTILINE | re.IGNORECASE)

LOCKERS: tuple[tuple[str, list[str], list[str]], ...] = (
    ("dotlockfile", ["-r", "0", "-l", "{lock}"], ["dotlockfile", "-u", "{lock}"]),
    ("lockfile", ["-r", "0", "{lock}"], ["rm", "-f", "{lock}"]),
    ("mutt_dotlock", ["-r", "0", "{mbox}"], ["mutt_dotlock", "-u", "{mbox}"]),
)
"""Who locks MBOX.lock, how, and how it is given back (liblockfile, procmail, mutt)."""


class Crowd:
    """One user's mail, and everybody at it; see Story."""

    def __init__(self, person: Person, dovecot: Dovecot, mbox: Path) -> None:
        self._person, self._dovecot, self._mbox = person, dovecot, mbox
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()
        self._taken: Counter[bytes] = Counter()
        self._deleted: Counter[bytes] = Counter()
        self._wrong: list[str] = []
        self._over = threading.Event()
        self.locked = 0
        self.cases: Sequence[str] = [f"round {number}" for number in range(1, ROUNDS + 1)]

    def suffer(
        self, case: str, seconds: float = SECONDS, deliveries: int = DELIVERIES
    ) -> list[str]:
        """A round of so many SECONDS, and the account."""
        self._wrong = []
        self._over.clear()
        readers = [self._pop3, self._imap, self._pop_sync, self._locks]
        doers = [self._mdeliver] * deliveries + [self._procmail] * 2 + readers
        crowd = [threading.Thread(target=self._keep_doing, args=(do,)) for do in doers]
        for one in crowd:
            one.start()
        self._over.wait(seconds)
        self._over.set()
        for one in crowd:
            one.join(_PATIENCE_S)
            if one.is_alive():
                return [*self._wrong, f"stuck: somebody has waited {_PATIENCE_S} s for the end"]
        return [*self._wrong, *self._account()]

    def _keep_doing(self, do: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                do()
            except (OSError, EOFError, poplib.error_proto, imaplib.IMAP4.error):
                self._over.wait(0.05)  # a server that is busy; nothing is known to be done
            except Exception as error:
                self._wrong.append(f"stuck: {do.__name__}: {error}")
                return

    # --- who comes -----------------------------------------------------------------------------

    def _message(self) -> tuple[bytes, bytes]:
        with self._lock:
            name = b"%d.%d" % (os.getpid(), next(self._numbers))
        size = random.choice((0, 1, 40, 300))
        head = b"From: <a@example.net>\nSubject: crowd\nMessage-ID: <%b@crowd>\n\n" % name
        return name, as_handed_over(head + b"From a line of a letter\n" * size, self._person)

    def _deliver(self, command: list[str]) -> None:
        name, message = self._message()
        environ = environment(self._person, QUEUE_ID="")
        for attempt in range(60):
            handed = from_line(at=1_700_000_000 + attempt) + message
            answer = hand_over(command, handed, environ, self._person, timeout_s=400)
            if answer.verdict == "sent":
                with self._lock:
                    self._taken[name] += 1
                return
            if answer.verdict == "bounced":
                self._wrong.append(f"bounced: {command[0]}: {answer}")
                return
        self._wrong.append(f"stuck: {command[0]}: put off for ever")

    def _mdeliver(self) -> None:
        self._deliver([str(LDA)])

    def _procmail(self) -> None:
        self._deliver(["/usr/bin/procmail", "-t", "-m", str(self._person.home / ".procmailrc")])
        self._over.wait(0.1)

    def _pop3(self) -> None:
        gone = []
        with pop3_session(self._dovecot, self._person) as session:
            for number in range(1, session.stat()[0] + 1):
                if number % 2:
                    found = _ID.search(b"\n".join(session.retr(number)[1]))
                    session.dele(number)
                    gone.append(found[1] if found else b"?")
        with self._lock:
            self._deleted.update(gone)
        self._over.wait(0.2)

    def _imap(self) -> None:
        session = imaplib.IMAP4("127.0.0.1", self._dovecot.imap, timeout=60)
        try:
            session.login(self._person.name, PASSWORD)
            session.create("Archive")
            session.select("INBOX")
            there = session.search(None, "ALL")[1][0].split()
            some = random.sample(there, min(len(there), 20))
            if some:
                session.store(b",".join(some).decode(), "+FLAGS", "\\Seen")
                session._simple_command("MOVE", b",".join(some[::2]).decode(), "Archive")
        finally:
            session.logout()
        self._over.wait(0.2)

    def _pop_sync(self) -> None:
        command = [str(LDA.parent / "mdeliver"), "pop-sync", "--once"]
        person = self._person
        environ = {"HOME": str(person.home), "USER": person.name, "PATH": "/usr/bin:/bin"}
        subprocess.run(
            command, env=environ, cwd="/", capture_output=True, check=False, timeout=120,
            **identity(person),
        )  # fmt: skip
        self._over.wait(0.3)

    def _locks(self) -> None:
        """Lock it as others do, and see whether anybody comes in."""
        name, take, give = random.choice([one for one in LOCKERS if shutil.which(one[0])])
        lock = f"{self._mbox}.lock"
        take, give = (
            [word.format(lock=lock, mbox=self._mbox) for word in words]
            for words in ([name, *take], give)
        )
        # They wait for seconds between two tries, and would never come in.
        done = subprocess.run(
            take, check=False, stderr=subprocess.DEVNULL, **identity(self._person)
        )
        if done.returncode == 0:
            self.locked += 1
            before = os.stat(lock).st_ino, self._mbox.stat().st_size
            self._over.wait(0.3)
            after = (os.stat(lock).st_ino, self._mbox.stat().st_size) if os.path.exists(lock) else 0
            if after != before:
                self._wrong.append(f"torn: somebody came in under the lock of {name}")
            subprocess.run(give, check=True, **identity(self._person))
            self._over.wait(0.5)

    # --- the account ---------------------------------------------------------------------------

    def _account(self) -> list[str]:
        try:
            in_mbox = _ids(account.in_mbox(self._mbox, "as is"))
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_maildir = _ids(account.in_maildir(self._person.home / "Maildir"))
        wrong = []
        for place, there in (("mbox", in_mbox + self._deleted), ("Maildir", in_maildir)):
            lost = [name for name in self._taken if not there[name]]
            often = [name for name in there if there[name] > self._taken[name]]
            wrong += [f"lost {place}: {len(lost)} messages, {lost[:3]}"] if lost else []
            wrong += [f"doubled {place}: {len(often)} messages, {often[:3]}"] if often else []
        return wrong

    @property
    def delivered(self) -> int:
        """How many messages were taken."""
        return self._taken.total()


def _ids(messages: list[bytes]) -> Counter[bytes]:
    return Counter(found[1] if (found := _ID.search(m)) else b"?" for m in messages)


@contextmanager
def opened(_top: Path) -> Iterator[Crowd]:
    """A user whose mbox is in the home, where dotlocks can be made, and a Dovecot."""
    os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        raise CannotBeHad("only root can make users and start Dovecot")
    for program in ("dovecot", "procmail", "useradd"):
        if shutil.which(program) is None:
            raise CannotBeHad(f"{program} is not installed")
    top = open_directory("crowd")
    (top / "homes").mkdir()
    person = add_person("ann", top / "homes")
    try:
        if why := unreachable(LDA, person):
            raise CannotBeHad(why)
        (top / "dovecot").mkdir()
        dovecot = Dovecot(top / "dovecot", [person], top / "auth")
        mbox = person.home / "mbox"
        said = dovecot.configuration.read_text().replace("INBOX=/var/mail/%u", "INBOX=~/mbox")
        # procmail keeps its dotlock while it waits for fcntl: the other order would be a deadlock,
        # until Dovecot takes the lock over after two minutes.
        said = said.replace(
            "mbox_write_locks = fcntl dotlock",
            "mbox_read_locks = dotlock fcntl\nmbox_write_locks = dotlock fcntl",
        )
        dovecot.configuration.write_text(said)
        _furnish(person)
        dovecot.start()
        try:
            yield Crowd(person, dovecot, mbox)
        finally:
            dovecot.stop()
    finally:
        remove_person(person)
        shutil.rmtree(top, ignore_errors=True)


def _furnish(person: Person) -> None:
    """Rules for mdeliver, pop-sync and procmail, and the places."""
    home = person.home
    write_rules(
        person,
        'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n',
    )
    made = [home / ".config" / "mdeliver" / "pop-sync.toml", home / ".procmailrc", home / "mbox"]
    made[0].write_text('downloaded = "archive"\n')
    made[1].write_text(f"LOCKSLEEP=1\n:0 c:\n{home}/mbox\n\n:0\n{home}/Maildir/\n")
    made[2].touch(0o600)
    for part in ("", "tmp", "new", "cur"):
        made.append(home / "Maildir" / part)
        made[-1].mkdir(mode=0o700)
    for path in made:
        os.chown(path, person.uid, person.gid)
