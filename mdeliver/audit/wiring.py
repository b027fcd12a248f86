"""Does local mail come to mdeliver, by a way that loses nothing.

local(8)    asks mailbox_transport_maps, mailbox_transport, mailbox_command_maps, mailbox_command,
            home_mailbox, in this order; the first that is set has the mail
Command     mdeliver-lda and nothing else: other programs' statuses, a shell's and Python's among
            them, make Postfix bounce mail that only has to wait; so does command_time_limit
LMTP        a socket that Postfix's client reaches, outside of Debian's chroot
See also    local(8), NOTES on exit statuses; postfix/ways.py, which sets it up
"""

from __future__ import annotations

import os
import re
import stat

from mdeliver import limits
from mdeliver.audit.finding import Finding
from mdeliver.postfix.configuration import PostfixError, split_list
from mdeliver.postfix.ways import ORDER
from mdeliver.sent.setup import is_in_chroot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

LAUNCHER = "mdeliver-lda"
_SHELL = re.compile(r"[$&;|<>()`\\!*?\[\]{}'\"]")
_SETTING = ("mdeliver postfix delivery", "mdeliver postfix --apply delivery")


def mail_comes_here(host: Host) -> Iterator[Finding]:
    """Whether local or virtual mail is delivered by mdeliver, and safely."""
    if "mdeliver" in host.value("virtual_transport"):
        yield from _by_lmtp(host, "virtual_transport")
    if not host.value("local_transport").startswith("local"):
        yield Finding("fine", f"local_transport is {host.value('local_transport')}, not local(8)")
        return
    first = next((name for name in ORDER if host.value(name)), "")
    said = host.value(first) if first else ""
    if first in ("mailbox_transport", "mailbox_transport_maps") and "mdeliver" in said:
        yield from _by_lmtp(host, first)
    elif first == "mailbox_command" and "mdeliver" in said:
        yield from _by_command(host, said)
    elif "mdeliver" not in said and "mdeliver" not in host.value("virtual_transport"):
        have = f"{first} = {said}" if first else "local(8) itself"
        yield Finding(
            "advice",
            f"local mail is not delivered by mdeliver, but by {have}",
            "rules, two places and sent copies need mdeliver",
            "have it deliver",
            _SETTING,
        )
    yield from _roots_mail(host)


def _by_command(host: Host, command: str) -> Iterator[Finding]:
    program = command.split()[0]
    complaints = False
    if not os.access(program, os.X_OK) or not program.startswith("/"):
        complaints = True
        yield Finding(
            "failure",
            f"mailbox_command names {program}, which is no program by its whole path",
            "a shell that does not find it ends with 127, and Postfix bounces the mail",
            "name mdeliver-lda, where it is installed",
            _SETTING,
        )
    elif os.path.basename(program) != LAUNCHER or _SHELL.search(command):
        complaints = True
        yield Finding(
            "warning",
            f"mailbox_command is {command}: more than {LAUNCHER} stands between Postfix and mail",
            "where Python or a shell cannot start they end with statuses for which Postfix bounces",
            f"run {LAUNCHER} alone, whose failures make mail wait",
            (f"postconf -e 'mailbox_command = {host.given.launcher}'", "postfix reload"),
        )
    seconds = _seconds(host.value("command_time_limit"))
    if seconds <= limits.DEADLINE_S:
        complaints = True
        yield Finding(
            "failure",
            f"command_time_limit is {host.value('command_time_limit')}",
            f"a delivery gives up by itself after {limits.DEADLINE_S} s and the mail waits; what "
            "Postfix stops before is bounced",
            "leave it at Postfix's 1000 s",
            ("postconf -e 'command_time_limit = 1000s'", "postfix reload"),
        )
    if not complaints:
        yield Finding("fine", f"local mail is delivered by {command}")


def _seconds(value: str) -> int:
    """A time of Postfix, such as `1000s` or `1h`, in seconds."""
    found = re.fullmatch(r"([0-9]{1,10})([smhdw]?)", value.strip())
    if not found:
        return 0
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[found[2]]


def _by_lmtp(host: Host, name: str) -> Iterator[Finding]:
    value = host.value(name)
    path = value.removeprefix("lmtp:unix:")
    complaints = False
    client = next((s for s in host.services if s.name == "lmtp/unix"), None)
    if client is None or (value != path and is_in_chroot(client, host.postfix)):
        complaints = True
        yield Finding(
            "failure",
            "Postfix's LMTP client runs in a chroot, from which it cannot see the socket"
            if client
            else "master.cf has no lmtp/unix",
            f"all mail for {name} = {value} waits in the queue",
            "let it run outside of the chroot",
            (
                ("postconf -F lmtp/unix/chroot=n", "postfix reload")
                if client
                else ("postconf -M 'lmtp/unix=lmtp unix - - n - - lmtp'", "postfix reload")
            ),
        )
    if path != value and path.startswith("/") and not _is_socket(path):
        complaints = True
        yield Finding(
            "failure",
            f"{name} names the socket {path}, and nobody listens there",
            "all mail waits in the queue",
            "start the server",
            ("systemctl enable --now mdeliver-lmtp.socket mdeliver-lmtp.service",),
        )
    if host.value("lmtp_send_xforward_command") != "yes":
        complaints = True
        yield Finding(
            "advice",
            "lmtp_send_xforward_command is off",
            "the server does not learn the queue id and who the client was, which SPF needs",
            "have Postfix tell",
            ("postconf -e 'lmtp_send_xforward_command = yes'", "postfix reload"),
        )
    if not complaints:
        yield Finding("fine", f"mail is delivered by {name} = {value}")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _roots_mail(host: Host) -> Iterator[Finding]:
    """Whether somebody reads root's mail: local(8) runs no command as root, but as nobody."""
    tables = split_list(host.value("alias_maps")) + split_list(host.value("virtual_alias_maps"))
    origin = host.value("myorigin")
    for table in tables:
        try:
            if host.look_up(table, "root") or host.look_up(table, f"root@{origin}"):
                yield Finding("fine", "root's mail goes to somebody else")
                return
        except PostfixError:
            return  # lookup-tables says so
    yield Finding(
        "warning",
        "root has no alias",
        f"the user {host.value('default_privs')} gets root's mail, for local(8) runs no program as "
        "root: no person reads cron's reports and bounces",
        "name who reads it in /etc/aliases",
        ("root: YOU", "# in /etc/aliases; then: newaliases"),
    )
