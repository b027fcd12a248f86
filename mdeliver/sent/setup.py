"""The Postfix settings that sent copies need: shown, made, and taken back.

Scope       sender_bcc_maps in main.cf holds for every cleanup(8), and so for what strangers bring
            with a forged MAIL FROM: they would get their message into Sent, and the secret address
            would prove nothing. So main.cf has none, and the map is set where the sender is known:

    submission, submissions   cleanup-sent    sender_bcc: copies with a tag. AUTH is demanded, and
                                              whoever uses one of our senders must own it
                                              (reject_known_sender_login_mismatch)
    pickup (sendmail)         cleanup-local   sender_bcc-local: copies without a tag, since any
                                              local user can name any sender; mdeliver looks at
                                              the user id in the Received line
    everything else           cleanup         no copies

Live        a map that is asked over a UNIX socket is out of sight in a chroot, where look-ups, and
            so all mail, would wait: services that ask it leave theirs. Tables are opened before.
Untagged    a table without tags needs no scope: the plain line in main.cf. Evidence is then what
            Postfix says of the client (mailbox_command), never the copy itself.
Undo        main.cf, master.cf and mdeliver.toml are kept as they were before; `undo` puts them
            back, unless somebody has changed them since.
See also    postfix/changes.py, which makes and undoes; audit/sent_copies.py, which checks the
            result; postconf(5), cleanup_service_name; SASL_README
"""

from __future__ import annotations

import json
import os
import re

from mdeliver import durable
from mdeliver.postfix.changes import Change, SetupError
from mdeliver.postfix.changes import make as make_changes
from mdeliver.postfix.configuration import Postfix, Service, joined, split_list
from mdeliver.sent.files import rewrite
from mdeliver.settings import SETTINGS_PATH, TAGS_PATH
from mdeliver.tomltext import parse_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLEANUP, CLEANUP_LOCAL = "cleanup-sent", "cleanup-local"

OWNER_CHECKS = (
    "reject_sender_login_mismatch",
    "reject_known_sender_login_mismatch",
    "reject_authenticated_sender_login_mismatch",
)
"""Any of these keeps a client that has authenticated from using another user's address."""

KNOWN = OWNER_CHECKS[1]
"""Of these the one that lets everybody use an address of which smtpd_sender_login_maps knows no
owner."""

_SENT_HEADER = re.compile(r"^[ \t]*\[[ \t]*sent[ \t]*\][ \t]*(?:#.*)?$", re.MULTILINE)

_BYTES = 16 << 20


def submission_services(services: Sequence[Service]) -> list[Service]:
    """smtpd services on which clients must authenticate."""
    return [s for s in services if s.program == "smtpd" and demands_auth(s)]


def demands_auth(service: Service) -> bool:
    """Whether SERVICE takes mail from nobody but clients that have authenticated.

    As shipped, submission has smtpd_sasl_auth_enable, and refuses all others in
    smtpd_client_restrictions, smtpd_relay_restrictions or smtpd_recipient_restrictions.
    """
    if service.settings.get("smtpd_sasl_auth_enable") != "yes":
        return False
    for when in ("client", "helo", "sender", "relay", "recipient"):
        value = service.settings.get(f"smtpd_{when}_restrictions", "")
        words = split_list(value)
        if words[-1:] == ["reject"] and set(words[:-1]) <= {
            "permit_sasl_authenticated",
            *OWNER_CHECKS,
        }:
            return True
    return False


def needed(maps: Sequence[str], postfix: Postfix, services: Sequence[Service]) -> list[Change]:
    """What Postfix lacks; [] where all is set. Raises SetupError, PostfixError.

    maps  names of the tables: one without tags, or the three of generate.py
    """
    asked = any(is_out_of_sight(name) for name in maps)
    if len(maps) == 1:
        wanted = _seen([s for s in services if s.program == "cleanup"], postfix) if asked else []
        if postfix.values("sender_bcc_maps") != list(maps):
            wanted.append(Change("-e", "sender_bcc_maps", maps[0]))
        return wanted
    tagged, local, login = maps
    found = submission_services(services)
    if not found:
        raise SetupError(
            "master.cf has no service that takes mail only from clients that have authenticated: "
            "set one up first (submission and submissions in the master.cf as shipped), or run "
            "mdeliver bcc-maps --no-tags"
        )
    chroot = "n" if asked else _chroot(services)
    wanted = [
        *_cleanup(CLEANUP, tagged, services, chroot),
        *_cleanup(CLEANUP_LOCAL, local, services, chroot),
    ]
    if asked:
        own = (f"{CLEANUP}/unix", f"{CLEANUP_LOCAL}/unix")
        wanted += _seen([*(s for s in services if s.name in own), *found], postfix)
    for service in found:
        wanted += _submission(service, login, postfix)
    wanted.append(Change("-P", "pickup/unix/cleanup_service_name", CLEANUP_LOCAL))
    if postfix.value("sender_bcc_maps"):
        wanted.append(Change("-e", "sender_bcc_maps", ""))
    have = {s.name: s for s in services}
    return [change for change in wanted if not _is_made(change, have)]


def is_out_of_sight(table: str) -> bool:
    """Whether a service in a chroot cannot look into the map TABLE."""
    return table.startswith("socketmap:unix:")


def is_in_chroot(service: Service, postfix: Postfix) -> bool:
    """Whether SERVICE runs in a chroot; "-" is yes for Postfix as it was before 3.0."""
    level = postfix.value("compatibility_level") if service.chroot == "-" else ""
    return service.chroot == "y" or (level != "" and level.partition(".")[0] == "0")


def _seen(services: Sequence[Service], postfix: Postfix) -> list[Change]:
    """What lets SERVICES see a socket outside of the queue directory."""
    chrooted = [s for s in services if is_in_chroot(s, postfix)]
    return [Change("-F", f"{service.name}/chroot", "n") for service in chrooted]


def _cleanup(name: str, table: str, services: Sequence[Service], chroot: str) -> Iterator[Change]:
    """A cleanup service of its own: like the one that is there, with its own map."""
    if f"{name}/unix" not in [service.name for service in services]:
        yield Change("-M", f"{name}/unix", f"{name} unix n - {chroot} - 0 cleanup")
    yield Change("-P", f"{name}/unix/sender_bcc_maps", table)


def _chroot(services: Sequence[Service]) -> str:
    for service in services:
        if service.name == "cleanup/unix":
            return service.chroot
    return "n"


def _submission(service: Service, login: str, postfix: Postfix) -> Iterator[Change]:
    yield Change("-P", f"{service.name}/cleanup_service_name", CLEANUP)
    setting = "smtpd_sender_restrictions"
    value = service.settings.get(setting)
    words = split_list(postfix.value(setting) if value is None else value)
    if not set(words) & set(OWNER_CHECKS):
        words = [KNOWN, *words]
        yield Change("-P", f"{service.name}/{setting}", joined(words))
    maps = "smtpd_sender_login_maps"
    theirs = split_list(service.settings.get(maps) or postfix.value(maps))
    strict = set(words) & set(OWNER_CHECKS) - {KNOWN}
    if login not in theirs and not (theirs and strict):
        yield Change("-P", f"{service.name}/{maps}", joined([*theirs, login]))


def _is_made(change: Change, services: dict[str, Service]) -> bool:
    if change.flag != "-P":
        return False
    service, _, setting = change.name.rpartition("/")
    return service in services and services[service].settings.get(setting) == change.value


# --- doing ---------------------------------------------------------------------------------


def says_of_belief(path: str = SETTINGS_PATH) -> bool | None:
    """Whether mdeliver.toml says that tags are proof; None where it says nothing of it."""
    sent = _parsed(durable.read_file(path, _BYTES).decode("utf-8", "replace")).get("sent")
    said = sent.get("believe_tags") if isinstance(sent, dict) else None
    return None if said is None else said is True


def _parsed(text: str) -> dict[str, object]:
    try:
        return parse_toml(text)
    except ValueError:
        return {}


def belief(tags: str) -> list[str]:
    """The lines of mdeliver.toml by which deliveries believe the tags in the table TAGS."""
    where = [] if tags == TAGS_PATH else [f"tags = {json.dumps(tags)}"]
    return ["[sent]", "believe_tags = true", *where]


def _with_belief(path: str, text: str, tags: str) -> str:
    """TEXT of mdeliver.toml at PATH, with belief in the tags in the table TAGS. Raises SetupError.

    A table [sent] that is there already gets it as its first lines: TOML has each table once.
    """
    there = _parsed(text).get("sent")
    if there is None:
        new = "\n".join([*([text] if text else []), *belief(tags), ""])
    else:
        known = there if isinstance(there, dict) else {}
        added = [line for line in belief(tags)[1:] if line.partition(" ")[0] not in known]
        new = _SENT_HEADER.sub(lambda header: "\n".join([header[0], *added]), text, count=1)
    after = _parsed(new).get("sent")
    if not isinstance(after, dict) or after.get("believe_tags") is not True:
        raise SetupError(
            f"{path} says something of sent, but has no line [sent]: "
            "set sent.believe_tags to true there, and run this again"
        )
    return new


def make(
    changes: Sequence[Change],
    postfix: Postfix,
    keep: str,
    settings_path: str | None,
    tags: str = TAGS_PATH,
) -> list[str]:
    """Make CHANGES, and have mdeliver.toml say that tags are proof.

    keep           path of the file that remembers what was there before
    settings_path  mdeliver.toml; None to leave it
    tags           the table of digests, which it then names
    Returns the files that were changed. Raises as changes.make does.
    """
    if settings_path is None:
        return make_changes(changes, postfix, keep)

    said = durable.read_file(settings_path, _BYTES).decode("utf-8", "surrogateescape")
    text = _with_belief(settings_path, said, tags)

    def believe() -> None:
        durable.make_directory(os.path.dirname(settings_path), 0o755)
        rewrite(settings_path, text.encode("utf-8", "surrogateescape"))

    return make_changes(changes, postfix, keep, [settings_path], believe)
