"""Load for as long as one wants, through Postfix at full rate, while all is killed at random.

Ways      one user's mail goes by LMTP to `mdeliver lmtp`, the other's by local(8) and the launcher
Meanwhile both users download by POP3 and delete, and pop-sync archives
Killed    workers, front, master (a supervisor starts it again, as systemd does), launchers, agents,
          Postfix's local(8) and lmtp(8), pop-sync: SIGKILL, one every so often
Account   at the end of each case the queue drains; each message that Postfix took was downloaded
          once, and is once in the Maildir of its user, from where it is then taken away
Flat      in the last quarter of the time nobody is killed: memory and descriptors of master, front,
          workers and pop-sync must stay, and over the whole time too; gauges.py
Seconds   SOAK in the environment, an hour if it is not set
"""

from __future__ import annotations

import os
import poplib
import random
import re
import shutil
import signal
import smtplib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from tests.faults import account
from tests.installation import LDA, open_directory, unreachable
from tests.lmtpserver import Server
from tests.local8 import Person
from tests.mboxreader import Torn
from tests.servers.people import add_person, remove_person, write_rules
from tests.servers.postfix import Postfix
from tests.torture.downloads import Downloads
from tests.torture.gauges import Gauges
from tests.torture.stories import CannotBeHad

SECONDS = float(os.environ.get("SOAK", "3600"))
PART_S = 120.0
UNDER_WAY = 400
"""No more messages than these are in Postfix's queue: our part is what is to be loaded."""
SENDERS = 6
KILL_EVERY_S = 0.7
DRAINED_S = 180
LOOK_EVERY_S = 1.0
FETCH_EVERY_S = 2.0
UNHARMED = "nobody is killed"

_ID = re.compile(rb"^Message-ID: <([\w.]+)@soak>$", re.MULTILINE)


class Soak:
    """Postfix, the server, two users, and whoever kills; see Story."""

    def __init__(
        self, postfix: Postfix, server: Server, people: Sequence[Person], downloads: Downloads
    ) -> None:
        self._postfix, self._server, self._people = postfix, server, people
        self._downloads = downloads
        self._numbers = count()
        self._taken: dict[str, Counter[bytes]] = {person.name: Counter() for person in people}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._whole = Gauges(self._roles, postfix.top / "maillog")
        self._unharmed = Gauges(self._roles, postfix.top / "maillog")
        self.killed: Counter[str] = Counter()
        self.delivered = 0
        parts = max(1, round(SECONDS * 0.75 / PART_S))
        self._part_s = SECONDS * 0.75 / parts
        self.cases: Sequence[str] = [f"killing {n}" for n in range(1, parts + 1)] + [UNHARMED]

    def suffer(self, case: str) -> list[str]:
        """Load for a while, the queue drained, and the account."""
        self._over.clear()
        doers = [self._send] * SENDERS + [self._flush, self._supervise, self._fetch, self._look]
        if case != UNHARMED:
            doers.append(self._kill)
        self._unharmed.forget()
        wrong: list[str] = []
        crowd = [threading.Thread(target=self._keep_doing, args=(do, wrong)) for do in doers]
        for one in crowd:
            one.start()
        self._over.wait(self._part_s if case != UNHARMED else SECONDS * 0.25)
        self._over.set()
        for one in crowd:
            one.join()
        if case == UNHARMED:
            wrong += [*self._unharmed.grown(), *self._whole.grown()]
            self._tell()
        self._supervise()
        return [*wrong, *self._drain(), *self._account()]

    def _keep_doing(self, do: Callable[[], None], wrong: list[str]) -> None:
        while not self._over.is_set():
            try:
                do()
            except (OSError, smtplib.SMTPException):
                self._over.wait(0.1)
            except Exception as error:
                wrong.append(f"stuck: {do.__name__}: {error!r}")
                return

    # --- who is at work ------------------------------------------------------------------------

    def _send(self) -> None:
        """A session of up to fifty messages."""
        with smtplib.SMTP("127.0.0.1", self._postfix.outside, "mx.example.net", timeout=60) as to:
            for _ in range(50):
                while self._queued() > UNDER_WAY and not self._over.is_set():
                    self._over.wait(0.05)
                if self._over.is_set():
                    return
                with self._lock:
                    number = next(self._numbers)
                name = b"%d.%d" % (os.getpid(), number)
                person = self._people[number % len(self._people)]
                head = b"Subject: soak\nMessage-ID: <%b@soak>\n\n" % name
                body = b"From a line of a letter\n" * random.choice((1, 1, 10, 400))
                refused = to.sendmail("a@example.net", [f"{person.name}@example.org"], head + body)
                assert not refused, refused
                with self._lock:
                    self._taken[person.name][name] += 1

    def _queued(self) -> int:
        queue = self._postfix.top / "queue"
        return sum(len(list((queue / part).glob("*"))) for part in ("active", "incoming"))

    def _flush(self) -> None:
        self._postfix.run("postqueue", "-f", check=False)
        self._over.wait(2)

    def _supervise(self) -> None:
        if self._is_dead():
            try:
                self._server.start()
            except AssertionError:
                # It may be killed again before it listens.
                if not self._is_dead():
                    raise
        if wrong := self._downloads.supervise():
            raise AssertionError(wrong)
        self._over.wait(0.1)

    def _fetch(self) -> None:
        try:
            more = self._downloads.fetch_some()
        except poplib.error_proto:
            more = False  # the mbox is busy; nothing was deleted
        if not more:
            self._over.wait(FETCH_EVERY_S)

    def _look(self) -> None:
        self._whole.look()
        self._unharmed.look()
        self._over.wait(LOOK_EVERY_S)

    def _is_dead(self) -> bool:
        process = self._server.process
        return process is not None and process.poll() is not None

    def _kill(self) -> None:
        self._over.wait(random.uniform(0, 2 * KILL_EVERY_S))
        kinds = self._victims()
        kind = random.choice([kind for kind, pids in kinds.items() if pids] or ["nobody"])
        if kind == "nobody":
            return
        # The master takes all with it: not so often, or nothing else is ever hit.
        if kind == "master" and random.random() < 0.8:
            return
        os.kill(random.choice(kinds[kind]), signal.SIGKILL)
        self.killed[kind] += 1

    def _victims(self) -> dict[str, Sequence[int]]:
        uids = {person.uid for person in self._people}
        below = _children_of(int((self._postfix.top / "queue/pid/master.pid").read_text()))
        return {
            **self._roles(),
            "launcher or agent": [pid for pid in _pids() if _uid(pid) in uids and _is_agent(pid)],
            "local(8)": [pid for pid in below if _name(pid) == "local"],
            "lmtp(8)": [pid for pid in below if _name(pid) == "lmtp"],
        }

    def _roles(self) -> dict[str, Sequence[int]]:
        """Our processes that stay."""
        process = self._server.process
        master = [process.pid] if process is not None and process.poll() is None else []
        children = _children_of(master[0]) if master else []
        uids = {person.uid for person in self._people}
        return {
            "master": master,
            # One that was forked just now is root still.
            "front": [pid for pid in children if _uid(pid) not in {0, -1, *uids}],
            "worker": [pid for pid in children if _uid(pid) in uids],
            "pop-sync": self._downloads.pids(),
        }

    # --- what came of it -----------------------------------------------------------------------

    def _tell(self) -> None:
        killed = ", ".join(f"{number} x {kind}" for kind, number in self.killed.most_common())
        tables = self._whole.table("all of it") + self._unharmed.table(UNHARMED)
        sys.stdout.write(f"killed: {killed or 'nobody'}\n{tables}")
        sys.stdout.flush()

    def _drain(self) -> list[str]:
        end = time.monotonic() + DRAINED_S
        while left := self._postfix.in_queue():
            if time.monotonic() > end:
                return [f"stuck: {len(left)} messages are in the queue after {DRAINED_S} s"]
            self._postfix.run("postqueue", "-f", check=False)
            threading.Event().wait(1)
        return []

    def _account(self) -> list[str]:
        """What is wrong; then everything is taken away."""
        wrong = self._downloads.rest()
        try:
            while self._downloads.fetch_some():
                pass
        except poplib.error_proto as error:
            wrong.append(f"stuck: the last download: {error}")
        for person in self._people:
            wrong += self._account_of(person)
            for part in ("new", "cur"):
                for path in person.home.glob(f"Maildir/**/{part}/*"):
                    path.unlink()
        wrong += [f"bounced: {line}" for line in self._whole.bounced]
        self._whole.bounced.clear()
        return wrong

    def _account_of(self, person: Person) -> list[str]:
        taken, deleted = self._taken[person.name], self._downloads.deleted[person.name]
        try:
            in_mbox = _ids(account.in_mbox(person.home / "mbox", "mboxrd"))
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_maildir = _ids(account.in_maildir(person.home / "Maildir"))
        wrong = []
        for place, there in (("mbox", in_mbox + deleted), ("Maildir", in_maildir)):
            lost = [name for name in taken if not there[name]]
            # One that comes after its account was made is not in `taken`.
            often = [name for name in there if there[name] > taken[name]]
            wrong += [f"lost {place}: {len(lost)} messages, {lost[:3]}"] if lost else []
            wrong += [f"doubled {place}: {len(often)} messages, {often[:3]}"] if often else []
        litter = [*person.home.glob("*.lock"), *person.home.glob("Maildir/**/tmp/*")]
        self.delivered += taken.total()
        taken.clear()
        deleted.clear()
        return wrong + [f"litter: {path}" for path in litter]


def _ids(messages: list[bytes]) -> Counter[bytes]:
    return Counter(found[1] if (found := _ID.search(m)) else b"?" for m in messages)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _uid(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_agent(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(LDA).encode() in command or b"deliver" in command.split(b"\0")


def _children_of(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def opened(_top: Path) -> Iterator[Soak]:
    """A private Postfix, `mdeliver lmtp` and two users of the system."""
    os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        raise CannotBeHad("only root can make users and start Postfix")
    if shutil.which("postfix") is None:
        raise CannotBeHad("postfix is not installed")
    with ExitStack() as to_end:
        top = open_directory("soak")
        to_end.callback(shutil.rmtree, top, ignore_errors=True)
        (top / "homes").mkdir()
        people = []
        for role in ("ann", "bob"):
            people.append(add_person(role, top / "homes"))
            to_end.callback(remove_person, people[-1])
            rules = 'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\n'
            write_rules(people[-1], rules + "inbox = imap, pop3\n")
        if why := unreachable(LDA, people[0]):
            raise CannotBeHad(why)
        (top / "lmtp").mkdir()
        server = Server(top / "lmtp", users="system", socket_user="postfix", worker_idle_s=5)
        (top / "postfix").mkdir()
        postfix = Postfix(top / "postfix", people, f"{LDA} --server {server.door}")
        settings = [
            f"mailbox_transport_maps = inline:{{{people[0].name}=lmtp:unix:{server.path}}}",
            "lmtp_send_xforward_command = yes",
            "sender_bcc_maps =",
            "smtpd_peername_lookup = no",
            "smtpd_client_connection_rate_limit = 0",
            "delay_logging_resolution_limit = 4",
            # Where a process of its own was killed, Postfix waits for a minute otherwise.
            "service_throttle_time = 1s",
            "transport_retry_time = 1s",
        ]
        with (postfix.configuration / "main.cf").open("a") as main_cf:
            main_cf.write("\n".join(settings) + "\n")
        downloads = Downloads(top, people)
        to_end.callback(downloads.stop)
        downloads.start()
        server.start()
        to_end.callback(server.stop)
        postfix.start()
        to_end.callback(postfix.stop)
        yield Soak(postfix, server, people, downloads)
