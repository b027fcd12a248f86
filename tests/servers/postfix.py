"""A private Postfix: own configuration, queue, log and ports, all below one directory.

Ports       outside: an MX; its clients are strangers (mynetworks is empty but for an address
            that nobody has), and may say with XCLIENT where they come from
            submission: TLS and AUTH are demanded; Dovecot's auth socket knows the passwords
Users       sender_bcc_maps sends every sender a copy, by a plain line in main.cf, so that it
            fires for forged senders too
Network     loopback only, and no DNS at all
Stops       with `stop`, which waits until the master process is gone
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.local8 import Person
from tests.servers.ports import answers, free_ports
from tests.waiting import wait_for

OWN_PLACE = """\
compatibility_level = 3.6
queue_directory = {top}/queue
data_directory = {top}/data
maillog_file = {top}/maillog
maillog_file_prefixes = {top}
mail_owner = postfix
setgid_group = postdrop
meta_directory = /etc/postfix
"""
"""What every private Postfix says in main.cf of where it is."""

_TAKEN = re.compile(r"/cleanup\[\d+\]: (\w+): (?:resent-)?message-id=")
_UNDER_WAY = re.compile(r'"queue_name": "(?:maildrop|incoming|active)"')
_REMOVED = re.compile(r": (\w+): removed$", re.MULTILINE)

SERVICES = """\
pickup    unix n - n 60  1   pickup
cleanup   unix n - n -   0   cleanup
qmgr      unix n - n 300 1   qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n -   -   trivial-rewrite
bounce    unix - - n -   0   bounce
defer     unix - - n -   0   bounce
trace     unix - - n -   0   bounce
verify    unix - - n -   1   verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n -   -   proxymap
proxywrite unix - - n -  1   proxymap
showq     unix n - n -   -   showq
error     unix - - n -   -   error
retry     unix - - n -   -   error
discard   unix - - n -   -   discard
anvil     unix - - n -   1   anvil
scache    unix - - n -   1   scache
postlog   unix-dgram n - n - 1 postlogd
"""
"""What every one has in master.cf beside its own doors and ways out."""

MAIN_CF = (
    OWN_PLACE
    + """\
myhostname = {hostname}
mydomain = example.org
myorigin = $mydomain
mydestination = $mydomain, $myhostname, localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
# Nobody has this address: loopback clients are strangers here.
mynetworks = 127.255.255.254/32
smtpd_authorized_xclient_hosts = 127.0.0.1
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_chain_files = {top}/tls.pem
alias_maps =
alias_database =
local_recipient_maps = unix:passwd.byname
recipient_delimiter = +
local_destination_concurrency_limit = 20
default_transport = discard:
relay_transport = discard:
# A test says when to try again, with flush.
minimal_backoff_time = 300s
queue_run_delay = 300s
message_size_limit = 40000000
sender_bcc_maps = inline:{{ {bcc} }}
mailbox_command = {mailbox_command}
"""
)

MASTER_CF = (
    """\
127.0.0.1:{outside}    inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
smtp      unix - - n -   -   smtp
relay     unix - - n -   -   smtp
lmtp      unix - - n -   -   lmtp
local     unix - n n -   -   local
"""
    + SERVICES
)


class Postfix:
    """The running server.

    outside, submission  ports
    top                  its directory; `maillog` in it is its log
    """

    def __init__(self, top: Path, people: Sequence[Person], mailbox_command: str) -> None:
        self.top = top
        self.outside, self.submission = free_ports(2)
        self.configuration = top / "etc"
        self.configuration.mkdir()
        (top / "queue").mkdir()
        (top / "data").mkdir()
        shutil.chown(top / "data", "postfix")
        bcc = ", ".join(f"{{{p.name}@example.org = {p.name}@example.org}}" for p in people)
        # Debian's way: the machine's own name, which mdeliver looks for in Received lines.
        name = os.uname().nodename
        self._main_cf = MAIN_CF.format(
            top=top,
            hostname=name if "." in name else f"{name}.example.org",
            bcc=bcc,
            mailbox_command=mailbox_command,
        )
        self._master_cf = MASTER_CF.format(outside=self.outside, submission=self.submission)
        self._write(self._main_cf)
        make_certificate(top / "tls.pem")

    def _write(self, main_cf: str) -> None:
        """Make MAIN_CF its settings; what a test has made of services is gone."""
        (self.configuration / "main.cf").write_text(main_cf)
        (self.configuration / "master.cf").write_text(self._master_cf)

    @property
    def submission_service(self) -> str:
        """The submission service as postconf names it."""
        return f"127.0.0.1:{self.submission}/inet"

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of Postfix's commands on this instance and return what it printed."""
        program, *arguments = command
        done = subprocess.run(
            [program, "-c", str(self.configuration), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stdout}\n{self.log}")
        return done.stdout

    def start(self) -> None:
        """Start it, and wait until both ports answer."""
        self.run("postfix", "start")
        wait_for(
            lambda: answers(self.outside) and answers(self.submission),
            f"Postfix to listen\n{self.log}",
        )

    def start_with_names(self, resolv_conf: Path) -> None:
        """Start it where RESOLV_CONF is the system's."""
        mounted = 'mount --bind "$1" /etc/resolv.conf && exec postfix -c "$2" start'
        words = ["unshare", "--mount", "sh", "-c", mounted, "sh"]
        subprocess.run(
            [*words, resolv_conf, self.configuration], check=True, capture_output=True, timeout=300
        )

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        self.run("postfix", "stop", check=False)
        wait_for(lambda: not self.running, "Postfix to stop")

    @property
    def running(self) -> bool:
        """Whether a process of its group lives: all have its ports, the master's end is not all."""
        try:
            os.killpg(self._master, 0)
        except (OSError, ValueError):
            return False
        return True

    @property
    def _master(self) -> int:
        return int((self.top / "queue" / "pid" / "master.pid").read_text())

    def _processes(self) -> set[str]:
        """Pids of all its processes but the master."""
        children = Path(f"/proc/{self._master}/task/{self._master}/children")
        return set(children.read_text().split())

    def reload(self) -> None:
        """`postfix reload`, and wait until every process that has read the old settings is gone.

        They end by and by, and one that is idle may take one more message before it does.
        """
        self._begin_anew("reload")

    def rotate_log(self) -> None:
        """`postfix logrotate`, and wait until the postlogd that has the old file open is gone."""
        self._begin_anew("logrotate")

    def _begin_anew(self, deed: str) -> None:
        before = self._processes()
        self.run("postfix", deed)
        wait_for(lambda: not before & self._processes(), "Postfix's old processes to end")

    def use_mailbox_command(self, mailbox_command: str) -> None:
        """Have this mailbox_command from now on, and all else as it was."""
        text = re.sub(
            r"^mailbox_command = .*$",
            lambda _: f"mailbox_command = {mailbox_command}",
            self._main_cf,
            flags=re.MULTILINE,
        )
        self._write(text)
        self.stop()
        self.start()

    def use_settings(self, *settings: str) -> None:
        """Have these lines at the end of main.cf from now on, and none of an earlier call."""
        self._write(self._main_cf + "".join(f"{line}\n" for line in settings))
        self.stop()
        self.start()

    @property
    def log(self) -> str:
        """The whole lines of the mail log so far; what was done a moment ago may be missing."""
        maillog = self.top / "maillog"
        text = maillog.read_text(errors="replace") if maillog.exists() else ""
        return text[: text.rfind("\n") + 1]

    def complete_log(self) -> str:
        """The mail log with everything that any of its processes has logged before this moment.

        postlogd(8) writes some time later what it is sent, but in that order: once a line of our
        own is there, so are all before it. What Postfix answers a client it has logged before.
        """
        mark = f"mark {secrets.token_hex(8)}"
        self.run("postlog", "-t", "tests", mark)
        wait_for(lambda: mark in self.log, f"postlogd to write\n{self.log[-3000:]}")
        return self.log

    def lines_about(self, queue_id: str) -> list[str]:
        """Log lines of one message."""
        return [line for line in self.log.splitlines() if f" {queue_id}: " in line]

    def wait_until_delivered(self, *queue_ids: str, deadline_s: float = 600) -> None:
        """Wait until these messages have left the queue; fails at once when one is deferred."""

        def gone() -> bool:
            log = self.log
            for queue_id in queue_ids:
                if f" {queue_id}: removed" not in log:
                    deferred = re.findall(rf" {queue_id}: .*status=deferred.*", log)
                    assert not deferred, deferred
                    return False
            return True

        wait_for(gone, f"{', '.join(queue_ids)} to leave the queue", deadline_s=deadline_s)

    def wait_until_removed(self, queue_id: str) -> None:
        """Wait until a message that was deferred before, or is bounced, has left the queue."""
        wait_for(lambda: f" {queue_id}: removed" in self.log, f"{queue_id} to leave the queue")

    def wait_until_quiet(self, since: int) -> str:
        """Wait until all mail is gone that was taken since then, and all that it gave rise to.

        since  length of the complete log at that moment
        Returns what was logged since then.

        A message that moves from queue to queue while they are listed may be missed. But one that
        others make is in the maildrop before those are gone, and in the log before it leaves that:
        so nothing is on its way if, with all gone that are in the log, the queue looks empty and
        after that look the log has no others.
        """

        def quiet() -> str | None:
            before = self.complete_log()[since:]
            taken = set(_TAKEN.findall(before))
            if not taken <= set(_REMOVED.findall(before)) or self.in_queue():
                return None
            after = self.complete_log()[since:]
            return after if set(_TAKEN.findall(after)) == taken else None

        return wait_for(quiet, f"all mail to be delivered\n{self.log[-3000:]}")

    def wait_until_deferred(self, queue_id: str, *, times: int = 1) -> str:
        """Wait until a message was deferred for the given time, and return that log line.

        It is in the deferred queue then, from where `flush` takes it: the log is a moment ahead.
        """

        def seen() -> str | None:
            lines = [line for line in self.lines_about(queue_id) if "status=" in line]
            assert not [x for x in lines if "status=bounced" in x or "status=sent" in x], lines
            return lines[times - 1] if len(lines) >= times else None

        line = wait_for(seen, f"{queue_id} to be deferred")
        deferred = re.compile(f'"queue_name": "deferred", "queue_id": "{queue_id}"')
        wait_for(lambda: deferred.search(self.run("postqueue", "-j")), "it to be put aside")
        return line

    def in_queue(self) -> list[str]:
        """Queue ids of the messages in the queue; one that moves meanwhile may be missing."""
        return re.findall(r'"queue_id": "(\w+)"', self.run("postqueue", "-j"))

    def forget_queue(self) -> None:
        """Delete whatever an earlier test that failed has left in the queue."""
        wait_for(
            lambda: not _UNDER_WAY.search(self.run("postqueue", "-j")),
            "deliveries of an earlier test to end",
        )
        self.run("postsuper", "-d", "ALL")

    def flush(self) -> None:
        """Try everything in the queue again now."""
        self.run("postqueue", "-f")


def make_certificate(path: Path) -> None:
    """Put a fresh private key and a certificate signed by itself into one file."""
    key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=mail.example.org"]
    command += ["-addext", "subjectAltName=DNS:mail.example.org,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(key.read_text() + certificate.read_text())
    path.chmod(0o600)
