"""A private Postfix that refuses by every check, with DNS of its own.

Ports       checks: every check, the first that fails refuses, all at RCPT or DATA
            warns: the same, each behind warn_if_reject
            early: smtpd_delay_reject = no, and the greeting comes after a second
            limited: a client may come once a minute, and LF alone is refused
            milter: a milter has its say
            screen: postscreen with all its tests
Clients     are whom they say with XCLIENT; postscreen's come from addresses of 127/8
Names       are those of ZONE: a resolv.conf of its own is mounted where this Postfix looks for it
"""

from __future__ import annotations

import shutil
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.installation import open_directory
from tests.servers.milter import listening
from tests.servers.ports import answers, free_ports
from tests.servers.postfix import OWN_PLACE, SERVICES, Postfix
from tests.servers.zone import RESOLV_CONF, served
from tests.waiting import wait_for

ZONE = """\
example.net MX mx.example.net
mx.example.net A 198.51.100.7
7.100.51.198.in-addr.arpa PTR mx.example.net
fast.example.net A 192.0.2.25
25.2.0.192.in-addr.arpa PTR fast.example.net
slow.example.net broken
99.100.51.198.dnsbl.test A 127.0.0.2
99.100.51.198.dnsbl.test TXT spam-source
99.7.7.127.dnsbl.test A 127.0.0.2
spammer.example.net A 198.51.100.66
spammer.example.net.rhsbl.test A 127.0.0.2
"""

MAIN_CF = (
    OWN_PLACE
    + """\
myhostname = mail.example.org
mydomain = example.org
mydestination = $mydomain, $myhostname
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.255.255.254/32
smtpd_authorized_xclient_hosts = 127.0.0.1
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps = unix:passwd.byname, inline:{{ milter-hard=x milter-soft=x held=x }}
relay_domains = relay.example.org
relay_recipient_maps = inline:{{ known@relay.example.org=x }}
smtpd_client_event_limit_exceptions =
default_transport = discard:
relay_transport = discard:
local_transport = discard:
message_size_limit = 20000
header_size_limit = 4000
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 50
header_checks = regexp:{{
    {{ /^Subject:.*lottery/ REJECT 5.7.1 no lottery please }}
    {{ /^Subject:.*vanish/ DISCARD gone }} }}
body_checks = regexp:{{ {{ /cheap pills/ REJECT }} }}
# The time, too, that a DNS list has to answer.
postscreen_greet_wait = 8s
postscreen_access_list = cidr:{{ {{ 127.66.66.66/32 reject }} }}
postscreen_denylist_action = drop
postscreen_greet_action = enforce
postscreen_dnsbl_action = enforce
postscreen_dnsbl_sites = dnsbl.test
postscreen_bare_newline_enable = yes
postscreen_bare_newline_action = enforce
postscreen_non_smtp_command_enable = yes
postscreen_pipelining_enable = yes
postscreen_pipelining_action = enforce
smtpd_helo_required = yes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = {checks}
smtpd_data_restrictions = {data_checks}
warned_checks = {warned_checks}
warned_data_checks = {warned_data_checks}
"""
)

CHECKS = (
    "check_client_access inline:{ { 198.51.100.50 = REJECT go away } { 198.51.100.51 = REJECT } }",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_client_hostname",
    "reject_invalid_helo_hostname",
    "reject_non_fqdn_helo_hostname",
    "check_helo_access inline:{ { mail.example.org = REJECT that is my name } }",
    "reject_unknown_helo_hostname",
    "reject_non_fqdn_sender",
    "reject_unknown_sender_domain",
    "check_sender_access inline:{ { blocked@example.net = REJECT }"
    " { trouble@example.net = check_sender_access fail:trouble } }",
    "reject_non_fqdn_recipient",
    "reject_unknown_recipient_domain",
    "reject_unlisted_recipient",
    "reject_rbl_client dnsbl.test",
    "reject_rhsbl_sender rhsbl.test",
    "check_recipient_access inline:{ { held@example.org = HOLD } }",
)
DATA_CHECKS = ("reject_unauth_pipelining", "reject_multi_recipient_bounce")

MASTER_CF = (
    """\
127.0.0.1:{checks} inet n - n - - smtpd
127.0.0.1:{warns}  inet n - n - - smtpd
  -o smtpd_recipient_restrictions=$warned_checks
  -o smtpd_data_restrictions=$warned_data_checks
127.0.0.1:{early}  inet n - n - - smtpd
  -o smtpd_delay_reject=no
  -o {{ smtpd_client_restrictions = sleep 1, reject_unauth_pipelining }}
  -o {{ smtpd_helo_restrictions = reject_non_fqdn_helo_hostname }}
127.0.0.1:{limited} inet n - n - - smtpd
  -o smtpd_client_connection_rate_limit=1
  -o smtpd_forbid_bare_newline=reject
127.0.0.1:{milter} inet n - n - - smtpd
  -o smtpd_milters=inet:127.0.0.1:{milter_itself}
127.0.0.1:{screen} inet n - n - 1 postscreen
smtpd     pass  - - n -   -   smtpd
dnsblog   unix  - - n -   0   dnsblog
tlsproxy  unix  - - n -   0   tlsproxy
"""
    + SERVICES
)


class Gatekeeper(Postfix):
    """The running server."""

    def __init__(self, top: Path, name_server: str, milter: int) -> None:
        self.top = top
        self.ports = free_ports(6)
        self.checks, self.warns, self.early, self.limited, self.milter, self.screen = self.ports
        self.configuration = top / "etc"
        for name in ("etc", "queue", "data"):
            (top / name).mkdir()
        shutil.chown(top / "data", "postfix")
        (top / "resolv.conf").write_text(RESOLV_CONF.format(name_server))
        lists = {
            "checks": ", ".join(CHECKS),
            "data_checks": ", ".join(DATA_CHECKS),
            "warned_checks": ", ".join(f"warn_if_reject {check}" for check in CHECKS),
            "warned_data_checks": ", ".join(f"warn_if_reject {check}" for check in DATA_CHECKS),
        }
        (self.configuration / "main.cf").write_text(MAIN_CF.format(top=top, **lists))
        ports = ("checks", "warns", "early", "limited", "milter", "screen")
        numbers = dict(zip(ports, self.ports, strict=True))
        (self.configuration / "master.cf").write_text(
            MASTER_CF.format(milter_itself=milter, **numbers)
        )

    def start(self) -> None:
        """Start it where its own resolv.conf is the system's, and wait until its ports answer."""
        self.start_with_names(self.top / "resolv.conf")
        wait_for(lambda: all(answers(port) for port in self.ports), f"Postfix\n{self.log}")


@contextmanager
def gatekeeper() -> Iterator[Gatekeeper]:
    """A running one, with its DNS server and milter."""
    top = open_directory("gate")
    try:
        with served(ZONE) as name_server, listening() as milter:
            server = Gatekeeper(top, name_server, milter)
            try:
                server.start()
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(top, ignore_errors=True)


class Client(smtplib.SMTP):
    """A client that says with XCLIENT who it is, and then speaks SMTP line by line."""

    def __init__(
        self,
        port: int,
        client: str = "198.51.100.7",
        name: str = "mx.example.net",
        reverse: str = "",
        server: str = "127.0.0.1",
    ) -> None:
        super().__init__(server, port, timeout=120)
        self.ehlo("xclient.example.org")
        names = f"NAME={name} REVERSE_NAME={reverse or name}"
        assert self.docmd("XCLIENT", f"ADDR={client} {names}")[0] == 220

    def say(self, line: str) -> int:
        """Say LINE, whatever is in it; the code of the reply."""
        self.send(line.encode() + b"\r\n")
        return self.getreply()[0]

    def try_to_send(
        self,
        sender: str = "eve@example.net",
        to: str = "root@example.org",
        helo: str = "mx.example.net",
        message: str = "Subject: hello\r\n\r\nhello\r\n",
    ) -> int:
        """One message; the code of the first reply that is no success, else 250."""
        for line in (f"EHLO {helo}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA"):
            code = self.say(line)
            if code >= 400:
                return code
        return self.say(f"{message}.")
