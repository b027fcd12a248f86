"""A private Postfix as a distribution ships it, for `mdeliver postfix` to set up.

Network     a namespace of its own, for the thread that starts it and those that this one starts:
            ports 25, 465 and 587 are its own, and it has an address that is not loopback's
Clients     are strangers, and say with XCLIENT where they come from
Names       those of gatekeeper.ZONE and its own, by a resolv.conf of its own
Passwords   a Dovecot, if it is started, whose settings are those that `mdeliver postfix` writes
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from click.testing import CliRunner, Result

from mdeliver.cli.postfix import command
from tests.installation import lacking, open_directory
from tests.servers.gatekeeper import ZONE
from tests.servers.postfix import OWN_PLACE, SERVICES, Postfix, make_certificate
from tests.servers.zone import RESOLV_CONF, served
from tests.waiting import wait_for

MAIN_CF = (
    OWN_PLACE
    + """\
# As it was installed.
myhostname = mail.example.org
mydomain = example.org
mydestination = $mydomain, $myhostname
inet_interfaces = {address}
inet_protocols = ipv4
mynetworks = 127.255.255.254/32
smtpd_authorized_xclient_hosts = {address}
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps = unix:passwd.byname
relay_domains = relay.example.org
relay_recipient_maps = inline:{{ known@relay.example.org=x }}
default_transport = discard:
relay_transport = discard:
local_transport = discard:
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
"""
)

# Postfix's own, with what these tests need of it.
MASTER_CF = (
    """\
# Service by service.
smtp      inet  n - n - - smtpd
smtp      unix - - n -   -   smtp
lmtp      unix - - y -   -   lmtp
"""
    + SERVICES
)

DOVECOT_CONF = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
protocols = imap
listen = {address}
ssl = no
disable_plaintext_auth = no
default_login_user = dovenull
default_internal_user = dovecot
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {top}/passwords
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={top}/home
}}
service imap-login {{
  inet_listener imap {{
    port = 143
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
!include {top}/mdeliver.conf
"""


ADDRESS = "192.0.2.25"

OWN_NAMES = f"""\
example.org MX mail.example.org
example.org TXT v=spf1 ip4:{ADDRESS} -all
mail.example.org A {ADDRESS}
mail.example.org TXT v=spf1 ip4:{ADDRESS} -all
_dmarc.example.org TXT v=DMARC1; p=none; rua=mailto:postmaster@example.org
25.2.0.192.in-addr.arpa PTR mail.example.org
"""
"""What others find in DNS of this host."""

_CLONE_NEWNET = 0x40000000


class PlainBox(Postfix):
    """The running server; `address` is where it listens."""

    def __init__(self, top: Path, name_server: str, further: str) -> None:
        self.top = top
        self.address = ADDRESS
        self.name_server = name_server
        self.configuration = top / "etc"
        for name in ("etc", "queue", "data"):
            (top / name).mkdir()
        shutil.chown(top / "data", "postfix")
        (top / "resolv.conf").write_text(RESOLV_CONF.format(name_server))
        text = MAIN_CF.format(top=top, address=self.address)
        # Of a setting that stands twice every program warns, and postlogd waits for itself.
        names = tuple(line.partition("=")[0] for line in further.splitlines() if line[:1].isalpha())
        lines = [line for line in text.splitlines(True) if not line.startswith(names)]
        (self.configuration / "main.cf").write_text("".join(lines) + further)
        (self.configuration / "master.cf").write_text(MASTER_CF)
        self.certificate = top / "tls.pem"
        make_certificate(self.certificate)

    def start(self) -> None:
        """Start it where its own resolv.conf is the system's, and wait until port 25 answers."""
        self.start_with_names(self.top / "resolv.conf")
        wait_for(lambda: self.listens(25), f"Postfix\n{self.log}")

    def listens(self, port: int) -> bool:
        """Whether somebody answers on this port of its address."""
        with socket.socket() as asked:
            return asked.connect_ex((self.address, port)) == 0

    def mdeliver(self, *arguments: str) -> Result:
        """Run `mdeliver postfix` for it."""
        found = CliRunner().invoke(command, ["--postfix", str(self.configuration), *arguments])
        assert found.exit_code in (0, 1), found.output
        return found

    def set_up(self, *arguments: str) -> Result:
        """Run it with --apply, and wait until what it set holds for every client."""
        done = self.mdeliver("--apply", "--certificate", str(self.certificate), *arguments)
        if "set in" in done.output:
            # A reload leaves an idle smtpd of before, which takes one more client.
            self.stop()
            self.start()
            for service, port in (("submission", 587), ("submissions", 465)):
                if f"\n{service} " in (self.configuration / "master.cf").read_text():
                    wait_for(partial(self.listens, port), f"{service}\n{self.log}")
        return done

    @property
    def settings(self) -> dict[str, bytes]:
        """Every file of its configuration and what is in it."""
        return {
            path.name: path.read_bytes()
            for path in self.configuration.iterdir()
            if not path.name.endswith(".lock")
        }

    @contextmanager
    def dovecot(self, user: str, password: str) -> Iterator[None]:
        """Dovecot with the settings that `mdeliver postfix --dovecot` writes, and one user."""
        for name in ("run", "state", "home"):
            (self.top / name).mkdir()
        shutil.chown(self.top / "home", "mail", "mail")
        (self.top / "passwords").write_text(f"{user}:{{PLAIN}}{password}\n")
        (self.top / "passwords").chmod(0o644)
        self.mdeliver("--dovecot", str(self.top / "mdeliver.conf"))
        conf = self.top / "dovecot.conf"
        conf.write_text(DOVECOT_CONF.format(top=self.top, address=self.address))
        with (self.top / "start.log").open("wb") as said:
            subprocess.run(["dovecot", "-c", conf], stdout=said, stderr=said, check=True)
        master, pid = 0, self.top / "run" / "master.pid"
        try:
            wait_for(lambda: self.listens(143), "Dovecot to listen")
            # The file is there a moment before its content.
            master = wait_for(lambda: pid.exists() and int(pid.read_text() or 0), "its pid")
            yield
        finally:
            subprocess.run(["doveadm", "-c", conf, "stop"], capture_output=True, check=False)
            wait_for(lambda: not (master and _lives(master)), "Dovecot to stop")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@contextmanager
def own_network() -> Iterator[None]:
    """A network namespace for this thread, with loopback and ADDRESS and nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            lacking(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
            yield
        finally:
            assert libc.setns(before, _CLONE_NEWNET) == 0
    finally:
        os.close(before)


@contextmanager
def plain_box(further: str = "") -> Iterator[PlainBox]:
    """A running one with its DNS server.

    further  more lines of main.cf, the administrator's
    """
    top = open_directory("plain")
    try:
        with own_network(), served(ZONE + OWN_NAMES) as name_server:
            server = PlainBox(top, name_server, further)
            try:
                server.start()
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(top, ignore_errors=True)
