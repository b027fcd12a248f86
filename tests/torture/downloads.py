"""Users who download their mail: POP3 through a Dovecot, and a pop-sync that may be killed.

The mbox is in the home, where dotlocks can be made. What POP3 has read it deletes; what was in the
mbox is found in `deleted`. pop-sync runs for each user, as a user starts it.
"""

from __future__ import annotations

import os
import poplib
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.installation import LDA
from tests.local8 import Person, identity
from tests.servers.dovecot import Dovecot
from tests.servers.people import PASSWORD

_ID = re.compile(rb"^Message-ID: <([\w.]+)@", re.MULTILINE | re.IGNORECASE)
_ENDS_S = 120
_AT_ONCE = 100
"""Messages of one session: from the first to the end of it Dovecot has the mbox locked."""


class Downloads:
    """The users' POP3 clients and pop-syncs."""

    def __init__(self, top: Path, people: Sequence[Person]) -> None:
        (top / "dovecot").mkdir()
        self._dovecot = Dovecot(top / "dovecot", people, top / "auth")
        self._people = people
        self._said = top / "pop-sync.log"
        said = self._dovecot.configuration.read_text().replace("INBOX=/var/mail/%u", "INBOX=~/mbox")
        self._dovecot.configuration.write_text(said)
        self._syncs: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self.deleted: dict[str, Counter[bytes]] = {person.name: Counter() for person in people}
        for person in people:
            chosen = person.home / ".config" / "mdeliver" / "pop-sync.toml"
            chosen.write_text('downloaded = "archive"\n')
            os.chown(chosen, person.uid, person.gid)

    def start(self) -> None:
        """Start the Dovecot."""
        self._dovecot.start()

    def stop(self) -> None:
        """Stop everything."""
        self.rest()
        self._dovecot.stop()

    # --- POP3 ------------------------------------------------------------------------------------

    def fetch_some(self) -> bool:
        """A session of each user's: what is read is deleted. Whether there is more."""
        more = False
        for person in self._people:
            gone = self._fetch(person)
            more = more or len(gone) == _AT_ONCE
            with self._lock:
                self.deleted[person.name].update(gone)
        return more

    def _fetch(self, person: Person) -> list[bytes]:
        gone = []
        session = poplib.POP3("127.0.0.1", self._dovecot.pop3, timeout=_ENDS_S)
        try:
            session.user(person.name)
            session.pass_(PASSWORD)
            for number in range(1, min(session.stat()[0], _AT_ONCE) + 1):
                found = _ID.search(b"\n".join(session.retr(number)[1]))
                session.dele(number)
                gone.append(found[1] if found else b"?")
            session.quit()
        finally:
            session.close()
        return gone

    # --- pop-sync --------------------------------------------------------------------------------

    def supervise(self) -> list[str]:
        """Start each pop-sync that is not there; what those said that ended by themselves."""
        wrong = []
        for person in self._people:
            running = self._syncs.get(person.name)
            if running is None or running.poll() is not None:
                if running is not None and running.returncode not in (0, -9):
                    wrong.append(f"stuck: pop-sync ended with {running.returncode}: {self._last()}")
                self._syncs[person.name] = self._sync(person)
        return wrong

    def _sync(self, person: Person) -> subprocess.Popen[bytes]:
        environ = {"HOME": str(person.home), "USER": person.name, "PATH": "/usr/bin:/bin"}
        command = [str(LDA.parent / "mdeliver"), "pop-sync"]
        with self._said.open("ab") as said:
            return subprocess.Popen(
                command, env=environ, cwd="/", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=said, **identity(person),
            )  # fmt: skip

    def pids(self) -> list[int]:
        """Of every pop-sync that runs."""
        return [one.pid for one in list(self._syncs.values()) if one.poll() is None]

    def rest(self) -> list[str]:
        """Let every pop-sync end as an administrator does; what is wrong with that."""
        wrong = []
        for name, running in self._syncs.items():
            running.terminate()
            try:
                status = running.wait(_ENDS_S)
            except subprocess.TimeoutExpired:
                running.kill()
                status = running.wait()
            # One that is killed before it can hear ends by the signal.
            if status not in (0, -9, -15):
                wrong.append(f"stuck: pop-sync of {name} ended with {status}: {self._last()}")
        self._syncs.clear()
        return wrong

    def _last(self) -> str:
        return self._said.read_text(errors="replace")[-300:]
