"""A private Dovecot: POP3 on /var/mail/USER, IMAP on ~/Maildir, passwords for Postfix.

Set up as the README tells an administrator to: two protocols with a mail_location each,
mail_privileged_group, and Debian's own mbox locks (fcntl, then dotlock).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.local8 import Answer, Person
from tests.servers.people import PASSWORD, SPOOL
from tests.servers.ports import answers, free_ports
from tests.waiting import wait_for

DOVECOT_CONF = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_username_format = %n
default_login_user = dovenull
default_internal_user = dovecot
mail_privileged_group = mail
mail_location = maildir:~/Maildir
mbox_write_locks = fcntl dotlock
mail_max_userip_connections = 100
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = passwd-file
  args = {top}/passwords
}}
userdb {{
  driver = passwd
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service auth {{
  unix_listener {auth_socket} {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
protocol pop3 {{
  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
# dovecot-lda becomes the user, who cannot write our log.
protocol lda {{
  log_path = /dev/stderr
  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u
  postmaster_address = postmaster@example.org
}}
"""


class Dovecot:
    """The running server, with its ports `imap` and `pop3`."""

    def __init__(self, top: Path, people: Sequence[Person], auth_socket: Path) -> None:
        self.top = top
        self.imap, self.pop3 = free_ports(2)
        for directory in ("run", "state"):
            (top / directory).mkdir()
        (top / "passwords").write_text("".join(f"{p.name}:{{PLAIN}}{PASSWORD}\n" for p in people))
        (top / "passwords").chmod(0o644)
        self.configuration = top / "dovecot.conf"
        self.configuration.write_text(
            DOVECOT_CONF.format(top=top, imap=self.imap, pop3=self.pop3, auth_socket=auth_socket)
        )

    def start(self) -> None:
        """Start it, and wait until both ports answer."""
        # Its log process keeps standard error for good: a pipe would never see the end.
        command = ["dovecot", "-c", str(self.configuration)]
        with (self.top / "start.log").open("wb") as said:
            status = subprocess.run(command, stdout=said, stderr=said, check=False).returncode
        assert status == 0, f"{(self.top / 'start.log').read_text()}\n{self.log}"
        wait_for(lambda: answers(self.imap) and answers(self.pop3), f"Dovecot\n{self.log}")

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        command = ["doveadm", "-c", str(self.configuration), "stop"]
        subprocess.run(command, capture_output=True, check=False)
        wait_for(lambda: not self.running, "Dovecot to stop")

    @property
    def running(self) -> bool:
        """Whether the master process lives."""
        try:
            os.kill(int((self.top / "run" / "master.pid").read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def serves(self, person: Person) -> bool:
        """Whether a session of PERSON lives: it writes its indexes after it has said goodbye."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.stat().st_uid == person.uid:
                    name = (process / "comm").read_text().strip()
                    if name in ("imap", "pop3", "dovecot-lda"):
                        return True
            except OSError:
                pass  # it has just ended
        return False

    def mbox(self, person: Person) -> bytes:
        """The person's mbox once no session is left that may be writing to it."""
        wait_for(lambda: not self.serves(person), "sessions to end")
        return (SPOOL / person.name).read_bytes()

    @property
    def log(self) -> str:
        """All of its log so far."""
        log = self.top / "dovecot.log"
        return log.read_text(errors="replace") if log.exists() else "(no Dovecot log)"

    def deliver_to_mbox(self, person: Person, message: bytes) -> Answer:
        """Let dovecot-lda append MESSAGE to the person's mbox, with Dovecot's locks."""
        done = subprocess.run(
            [
                "/usr/lib/dovecot/dovecot-lda",
                "-c",
                str(self.configuration),
                "-e",
                "-d",
                person.name,
            ],
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin"},
            timeout=300,
            check=False,
        )
        return Answer(done.returncode, done.stdout)
