"""Checks of sent copies: is the map in place, fresh and used; is its scope sound.

Scope    sender_bcc_maps works in cleanup(8), for whatever brings mail to it. A map with tags sends
         copies to secret addresses: each service that feeds its cleanup must know who the sender
         is, that is demand AUTH and keep clients to their own addresses. One that does not lets a
         stranger's MAIL FROM into Sent, and the tag proves nothing.
See also sent/setup.py, which makes the sound set-up; SECURITY.md
"""

from __future__ import annotations

import re

from mdeliver.audit.finding import Finding
from mdeliver.postfix.configuration import PostfixError, Service, split_list
from mdeliver.sent import generate, setup
from mdeliver.sent.evidence import MARK, TAG_LENGTH
from mdeliver.sent.keys import KeysError
from mdeliver.sent.owners import SourceError
from mdeliver.sent.settings import COMPILED
from mdeliver.sent.tables import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_FEEDERS = ("smtpd", "pickup", "qmqpd")
"""Services that hand mail to the cleanup that their cleanup_service_name names."""

_OWN_MAPS = {"cleanup": "sender_bcc_maps", "smtpd": "smtpd_sender_login_maps"}
"""Which setting of which daemon names maps of ours."""

_TYPES_WITH_TAGS = ("texthash", *COMPILED)

_TAGGED = re.compile(rf"{MARK}[a-z2-7]{{{TAG_LENGTH}}}@")


def map_is_fresh(host: Host) -> Iterator[Finding]:
    """Whether the table is what the sources ask for, and Postfix uses it."""
    used = [s for s in _cleanups(host) if split_list(host.value_for(s, "sender_bcc_maps"))]
    if not used:
        yield Finding(
            "advice",
            "Postfix sends no copies back: no cleanup service has sender_bcc_maps",
            "what users send is in their Sent folders only if their clients put it there",
            "have mdeliver set it up",
            ("mdeliver bcc-maps --apply",),
        )
        return
    try:
        keys = generate.keys_for(host.bcc, generate.now(), rotate=False, forget=False)
        wanted = generate.want(host.bcc, host.postfix, keys, generate.now())
        report = generate.compare(wanted, host.bcc)
    except TableError:
        yield Finding("fine", "sender_bcc_maps is not of mdeliver's making; it was not looked into")
        return
    except (SourceError, KeysError, PostfixError) as error:
        first = str(error).split("\n")[0]
        yield Finding("failure", f"the tables cannot be made: {first}", "", "mend what it says")
        return
    if report.stale and not host.bcc.serve:
        yield Finding(
            "failure",
            f"the tables are stale: {len(report.added)} senders are missing, "
            f"{len(report.removed)} should go, {len(report.changed)} changed",
            "what new users send is not in their Sent folders",
            "make them again, and have that done daily or whenever users come",
            ("mdeliver bcc-maps",),
        )
    elif not host.bcc.serve:
        yield Finding("fine", f"the tables are fresh: {len(wanted.rows)} senders")
    yield from _reach(host, wanted, used)


def _reach(host: Host, wanted: generate.Wanted, used: list[Service]) -> Iterator[Finding]:
    """Whether deliveries and Postfix look into what is written; USED send copies."""
    if wanted.keys and host.bcc.tags != host.site.tags_path:
        yield Finding(
            "failure",
            f"deliveries look tags up in {host.site.tags_path}, but {host.bcc.tags} is written",
            "no tag is ever found",
            f"name one table in {host.settings_path}",
            tuple(setup.belief(host.bcc.tags)),
        )
    names = generate.map_names(wanted, host.bcc)
    for service in host.services:
        setting = _OWN_MAPS.get(service.program)
        tables = split_list(host.value_for(service, setting)) if setting else []
        unseen = [name for name in tables if name in names and setup.is_out_of_sight(name)]
        if unseen and setup.is_in_chroot(service, host.postfix):
            yield Finding(
                "failure",
                f"{service.name} runs in a chroot, and cannot see the socket of {unseen[0]}",
                "every look-up fails, and all mail that it takes waits",
                "let it run outside",
                (f"postconf -F '{service.name}/chroot=n'", "postfix reload"),
            )
    in_use = {n for s in used for n in split_list(host.value_for(s, "sender_bcc_maps"))}
    if names[0] not in in_use:
        yield Finding(
            "failure",
            f"Postfix does not use {names[0]}",
            "the table has no effect",
            "set it where senders are known",
            ("mdeliver bcc-maps --apply",),
        )


def scope_is_sound(host: Host) -> Iterator[Finding]:
    """Whether a stranger's MAIL FROM can set off a copy."""
    tagged = plain = False
    for cleanup in _cleanups(host):
        maps = split_list(host.value_for(cleanup, "sender_bcc_maps"))
        if not maps:
            continue
        has_tags = any(_has_tags(host, name) for name in maps)
        tagged |= has_tags
        plain |= not has_tags
        for feeder in _feeders(host, cleanup):
            yield from _judge(host, cleanup, feeder, has_tags)
    if tagged and not host.site.believe_tags:
        yield Finding(
            "warning",
            "copies go to secret addresses, but deliveries do not believe tags",
            "without Postfix's word for who authenticated (LMTP has none) they go to the inbox",
            f"once the scope is sound, say so in {host.settings_path}",
            ("[sent]", "believe_tags = true"),
        )
    if host.site.believe_tags and not tagged:
        yield Finding(
            "advice",
            "deliveries believe tags, but no map in use has any",
            "nothing comes of it as long as nobody learns a tag",
            "run mdeliver bcc-maps --apply, or set believe_tags to false",
        )


def _judge(host: Host, cleanup: Service, feeder: Service, has_tags: bool) -> Iterator[Finding]:
    """What it means that FEEDER brings mail to CLEANUP, which sends copies."""
    name = cleanup.name.partition("/")[0]
    tagged = split_list(host.value_for(cleanup, "sender_bcc_maps")) if has_tags else []
    known = setup.demands_auth(feeder) and _keeps_to_own_addresses(host, feeder, tagged)
    if known:
        yield Finding("fine", f"{feeder.name} knows its senders, and {name} sends copies for it")
    elif has_tags:
        believed = (
            "the site believes tags, so it is filed" if host.site.believe_tags else "it comes"
        )
        yield Finding(
            "failure",
            f"{feeder.name} brings mail of senders it does not know to {name}, whose map has tags",
            f"a forged MAIL FROM sends a copy to the secret address: {believed} as sent by me",
            "give services that know their senders a cleanup of their own, and no other the map",
            ("mdeliver bcc-maps --apply",),
        )
    elif feeder.program != "pickup":
        yield Finding(
            "warning",
            f"{feeder.name} brings mail of senders it does not know to {name}, which sends copies",
            "a forged MAIL FROM of a user brings that user a copy, which goes to the inbox",
            "let copies be sent for submission only",
            ("mdeliver bcc-maps --apply",),
        )


def _cleanups(host: Host) -> list[Service]:
    return [s for s in host.services if s.program == "cleanup"]


def _feeders(host: Host, cleanup: Service) -> list[Service]:
    name = cleanup.name.partition("/")[0]
    return [
        s
        for s in host.services
        if s.program in _FEEDERS and host.value_for(s, "cleanup_service_name") == name
    ]


def _keeps_to_own_addresses(host: Host, service: Service, tagged: list[str]) -> bool:
    """Whether SERVICE lets nobody use the address of another sender in the tables TAGGED."""
    words = set(split_list(host.value_for(service, "smtpd_sender_restrictions")))
    logins = split_list(host.value_for(service, "smtpd_sender_login_maps"))
    if not logins or not words & set(setup.OWNER_CHECKS):
        return False
    # One of the checks lets everybody use an address without an owner: then each needs one.
    strict = words & set(setup.OWNER_CHECKS) - {setup.KNOWN}
    return bool(strict) or all(f"{name}-login" in logins for name in tagged)


def _has_tags(host: Host, table: str) -> bool:
    """Whether TABLE sends copies to secret addresses.

    Raises PostfixError where it could, and cannot be read: by whom but root?
    """
    if table.startswith("socketmap:"):
        return table.rpartition(":")[2] == generate.MAP_NAMES[0]
    if table.removeprefix("proxy:").partition(":")[0] not in _TYPES_WITH_TAGS:
        return False
    return any(_TAGGED.search(value) for _key, value in host.postfix.rows(table))
