"""Have Postfix bring what leaves this host to the signing milter, and nothing that only passes.

    mdeliver_signing          the milter; while it is away, users' mail waits
    mdeliver_signing_incoming the same for services that take mail from everybody: while it is away,
                              mail comes in all the same
    non_smtpd_milters         for what is submitted on this host: sendmail, cron
    SERVICE/smtpd_milters     for services of users, and for those where mynetworks send
    internal_mail_filter_classes = bounce
                              for bounces, which DMARC looks at like all other mail

Last        our milter comes behind those that are there, which may change messages
Not         services on loopback: there content filters bring mail back, which only passes in
Guarantee   as changes.py: all or nothing, and --revert puts every file back, opendkim.conf too
See also    MILTER_README; opendkim.py
"""

from __future__ import annotations

import grp
import os
import pwd

from mdeliver import durable
from mdeliver.dkim import keys, opendkim
from mdeliver.postfix import changes, greeting
from mdeliver.postfix.changes import Change, SetupError
from mdeliver.postfix.step import Proposal, Step
from mdeliver.record import Record
from mdeliver.sent.files import rewrite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdeliver.dkim.keys import Key
    from mdeliver.dkim.senders import Senders
    from mdeliver.postfix.configuration import Service
    from mdeliver.postfix.step import Box, State

KEPT = "mdeliver-dkim.undo"
"""The file beside main.cf that remembers what was there before."""

PART = "dkim"

_BYTES = 4 << 20
_MILTERS = {"mdeliver_signing": "tempfail", "mdeliver_signing_incoming": "accept"}
_WHY = {
    "mdeliver_signing": "where users' mail is signed; while it is away, their mail waits",
    "mdeliver_signing_incoming": "the same where everybody's mail comes in, which does not wait",
    "non_smtpd_milters": "what is submitted on this host is signed: sendmail, cron, replies",
    "internal_mail_filter_classes": "bounces are signed, so that DMARC takes them for ours",
    "users": "what users send is signed",
    "strangers": "what mynetworks send is signed; what strangers bring is not",
    "daemon": "the milter is told that this service is for users",
}


class Plan(Record):
    """What is to be done: steps to show, calls of postconf, and files with what they should hold.

    files  paths and texts of those that are not as they should be
    """

    steps: Sequence[Step]
    changes: Sequence[Change]
    files: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.changes and not self.files


class Milter(Record):
    """Where things are.

    directory      of the keys
    configuration  opendkim.conf
    """

    directory: str = keys.DIRECTORY
    configuration: str = opendkim.CONFIGURATION


def plan(box: Box, senders: Senders, known: Sequence[Key], milter: Milter) -> Plan:
    """What is lacking for OpenDKIM to sign with those of KNOWN that sign.

    Raises SetupError, PostfixError, OSError.
    """
    if not opendkim.signing(known):
        raise SetupError("no RSA key signs: make one with --make, publish it, then --rotate")
    queue = box.value("queue_directory")
    wanted = opendkim.tables(milter.directory, senders, known, box.postfix.values("mynetworks"))
    wanted[milter.configuration] = opendkim.configuration(milter.directory, queue)
    if foreign := opendkim.is_foreign(_text(milter.configuration)):
        said = ", ".join(foreign)
        raise SetupError(f"{milter.configuration} signs already, by {said}: it is left as it is")
    stale = {path: text for path, text in wanted.items() if _text(path) != text}
    proposals = [*_main_cf(box), *_services(box)]
    steps = [step for proposal in proposals for step in proposal.steps]
    for path in wanted:
        state: State = "lacking" if path in stale else "set"
        steps.append(Step(PART, path, _FILE_WHY[path.rpartition("/")[2]], state))
    return Plan(steps, [c for proposal in proposals for c in proposal.changes], stale)


_FILE_WHY = {
    "keytable": "the keys that sign",
    "sign.lua": "which messages are signed: what is written here, not what passes through",
    "internal": "the hosts of mynetworks, whose mail is signed",
    "opendkim.conf": "OpenDKIM: how it signs, and where Postfix finds it",
}


def _text(path: str) -> str:
    return durable.read_file(path, _BYTES).decode("utf-8", "surrogateescape")


def _main_cf(box: Box) -> Iterator[Proposal]:
    for name, action in _MILTERS.items():
        value = f"{{ unix:{opendkim.SOCKET}, default_action={action} }}"
        yield _setting(box, name, value, box.raw(name) == value)
    raw = box.raw("non_smtpd_milters")
    value = f"{raw}, $mdeliver_signing" if raw else "$mdeliver_signing"
    yield _setting(box, "non_smtpd_milters", value, "$mdeliver_signing" in raw)
    name, classes = "internal_mail_filter_classes", box.raw("internal_mail_filter_classes")
    value = f"{classes}, bounce" if classes else "bounce"
    yield _setting(box, name, value, "bounce" in box.postfix.values(name))


def _setting(box: Box, name: str, value: str, is_set: bool) -> Proposal:
    what = f"{name} = {box.raw(name) if is_set else value}"
    state: State = "set" if is_set else "lacking"
    step = Step(PART, what, _WHY[name], state)
    return Proposal([step], [] if is_set else [Change("-e", name, value)])


def _services(box: Box) -> Iterator[Proposal]:
    """Services for users, and those that take mail from everybody, mynetworks among them."""
    for service in box.services:
        if service.program == "smtpd" and service.settings.get("smtpd_sasl_auth_enable") == "yes":
            yield _milters(box, service, "mdeliver_signing", _WHY["users"])
            yield _originating(service)
    for service in greeting.services_for_strangers(box):
        # Behind postscreen smtpd is called smtpd/pass.
        yield _milters(box, service, "mdeliver_signing_incoming", _WHY["strangers"])
    for service in box.services:
        if service.name == "smtpd/pass":
            yield _milters(box, service, "mdeliver_signing_incoming", _WHY["strangers"])


def _milters(box: Box, service: Service, ours: str, why: str) -> Proposal:
    own = service.settings.get("smtpd_milters")
    before = box.raw("smtpd_milters") and "$smtpd_milters" if own is None else own
    what = f"{service.name}: smtpd_milters with ${ours}"
    # postconf shows values with names filled in.
    if own is not None and opendkim.SOCKET in own:
        return Proposal([Step(PART, what, why, "set")], [])
    value = ",".join(part for part in (before, f"${ours}") if part)
    if any(c.isspace() for c in value):
        note = f"its smtpd_milters are {own}, which postconf cannot set; put them into main.cf"
        return Proposal([Step(PART, what, why, "kept", note)], [])
    change = Change("-P", f"{service.name}/smtpd_milters", value)
    return Proposal([Step(PART, what, why, "lacking")], [change])


def _originating(service: Service) -> Proposal:
    name = "milter_macro_daemon_name"
    what = f"{service.name}: {name} = ORIGINATING"
    if name in service.settings:
        return Proposal([Step(PART, what, _WHY["daemon"], "set")], [])
    change = Change("-P", f"{service.name}/{name}", "ORIGINATING")
    return Proposal([Step(PART, what, _WHY["daemon"], "lacking")], [change])


# --- doing it --------------------------------------------------------------------------------


def apply(wanted: Plan, box: Box, milter: Milter) -> list[str]:
    """Do what WANTED says; returns the files that were changed.

    Raises SetupError, PostfixError, OSError; then everything is as it was.
    """
    group = signer_group()
    if group is None:
        raise SetupError(f"there is no group {opendkim.USER}: apt install opendkim, then once more")

    def write() -> None:
        for path, text in wanted.files.items():
            rewrite(path, text.encode("utf-8", "surrogateescape"))
        _make_socket_directory(box)
        let_read(milter.directory, group)

    keep = f"{box.directory}/{KEPT}"
    return changes.make(wanted.changes, box.postfix, keep, list(wanted.files), write)


def revert(box: Box) -> list[str]:
    """Put back what `apply` changed; returns the files. Raises SetupError, OSError."""
    return changes.undo(f"{box.directory}/{KEPT}")


def signer_group() -> int | None:
    """The group as which OpenDKIM runs; None where it is not installed."""
    try:
        return grp.getgrnam(opendkim.USER).gr_gid
    except KeyError:
        return None


def let_read(directory: str, group: int) -> None:
    """Let the milter read the keys in DIRECTORY; those that were made before it was installed."""
    keys.let_read(directory, group)
    for key in keys.registered(directory):
        path = key.path(directory)
        for place in (os.path.dirname(path), path):
            keys.let_read(place, group)


def _make_socket_directory(box: Box) -> None:
    """The directory of the socket: OpenDKIM makes it there, and it gets Postfix's group."""
    path = f"{box.value('queue_directory')}/{os.path.dirname(opendkim.SOCKET)}"
    durable.make_directory(path, 0o700)
    group = pwd.getpwnam(box.value("mail_owner")).pw_gid
    os.chown(path, pwd.getpwnam(opendkim.USER).pw_uid, group)
    # Set-group-id: what is made in it has the group of the directory.
    os.chmod(path, 0o2750)
