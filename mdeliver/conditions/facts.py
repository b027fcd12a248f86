"""Facts about the delivery: `sent by me` and `addressed to me`.

sent by me       the copy that sender_bcc_maps brings back of one's own mail. A Return-Path or From
                 proves nothing: anybody can write them, and the map fires for forged ones too.
                 So either Postfix says who authenticated, or the message was submitted on this
                 host by this user's own process, or it came to the user's secret Sent address
                 and the site says that tags are proof (sent/evidence.py). Never with the null
                 sender: bounces are not mine. Nor what one's own `forward to` sent on: it ran as
                 this user, but the sender is whoever wrote the message, or forged it.
addressed to me  one of `me` is in To, Cc or their Resent- forms, and it is not the Sent copy that
                 came to the secret address: the message itself comes by a delivery of its own.
"""

from __future__ import annotations

from mdeliver.plan import TRACE_FIELD
from mdeliver.scene import without_extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.scene import Scene

_ADDRESSED = ("to", "cc", "resent-to", "resent-cc")


def sent_by_me(scene: Scene) -> bool:
    """Whether this user submitted the message."""
    envelope = scene.envelope
    if not envelope.sender:
        scene.because = "the null sender is never me"
        return False
    login = envelope.sasl_username
    if login and _is_my_login(scene, login):
        scene.because = f'authenticated as "{login}"'
        return True
    if not login and not envelope.client_address and _submitted_here(scene):
        if not _forwarded_by_me(scene):
            scene.because = f"submitted on this host by user id {envelope.uid}"
            return True
        scene.because = "a rule of this user forwarded it, whoever sent it"
        return False
    tag = envelope.sent_tag
    if tag.proof:
        scene.because = tag.words
        return True
    if tag.tag:
        scene.because = tag.words
    elif login:
        scene.because = f'authenticated as "{login}", which is not {envelope.user}'
    else:
        scene.because = "no authentication, and not submitted on this host by this user"
    return False


def _is_my_login(scene: Scene, login: str) -> bool:
    """Whether the SASL name is the user, user@one of our domains, or one of `me`.

    Case counts in user names, never in domains.
    """
    user = scene.envelope.user
    local, at, domain = login.rpartition("@")
    if not at:
        return login == user
    if local == user and domain.lower() in _site_domains(scene):
        return True
    return (local, domain.lower()) in [
        (mine, its_domain.lower())
        for address in scene.my_addresses()
        for mine, _at, its_domain in (address.rpartition("@"),)
    ]


def _site_domains(scene: Scene) -> tuple[str, ...]:
    return scene.site.domains or (scene.envelope.domain.lower(),)


def _submitted_here(scene: Scene) -> bool:
    """Whether the topmost Received is our own Postfix's, for a process of this user.

    Postfix's pickup service writes `Received: by HOST (Postfix, from userid UID)`. Whatever
    comes by SMTP gets a `Received: from ...` on top of what its sender forged.
    """
    received = scene.message.texts("received")
    if not received:
        return False
    words = received[0].split(None, 6)
    host = scene.site.hostname.lower()
    by = words[1].lower() if len(words) > 1 else ""
    # The kernel's name is often the short one, where Postfix's myhostname never is.
    if by != host and not ("." not in host and by.partition(".")[0] == host):
        return False
    written = [word.lower() for word in [*words[:1], *words[2:6]]]
    return written == ["by", "(postfix,", "from", "userid", f"{scene.envelope.uid})"]


def _forwarded_by_me(scene: Scene) -> bool:
    """Whether the message has the trace of this user's `forward to` (actions/forward.py)."""
    mark = f"{scene.envelope.user}@{scene.site.hostname}"
    return mark in scene.came.texts(TRACE_FIELD.lower())


def addressed_to_me(scene: Scene) -> bool:
    """Whether one of my addresses is among the visible recipients."""
    if scene.envelope.sent_tag.mine:
        scene.because = "it is the copy for the Sent folder"
        return False
    found = my_address_in(scene)
    if found is not None:
        if scene.explain:
            header, address = found
            scene.because = f'"{address}" is in {header.title()}'
        return True
    if scene.explain:
        me = ", ".join(f'"{address}"' for address in scene.my_addresses())
        scene.because = f"none of {me or 'my addresses'} is in To or Cc" + limit_words(scene)
    return False


def my_address_in(scene: Scene) -> tuple[str, str] | None:
    """The header of the visible recipients that has one of my addresses, and that address.

    `ann+lists@` is ann's: an extension that the address itself does not have is not looked at.
    """
    mine = {_key(*_parts(address)) for address in scene.my_addresses()}
    for header in _ADDRESSED:
        for address in scene.message.addresses(header):
            if _is_one_of(mine, address.local, address.domain, scene):
                return header, address.text
    return None


def is_mine(scene: Scene, address: str) -> bool:
    """Whether ADDRESS is one of mine, perhaps with an extension."""
    mine = {_key(*_parts(address)) for address in scene.my_addresses()}
    return _is_one_of(mine, *_parts(address), scene)


def _is_one_of(mine: set[tuple[str, str]], local: str, domain: str, scene: Scene) -> bool:
    return _key(local, domain) in mine or _key(without_extension(local, scene.site), domain) in mine


def limit_words(scene: Scene) -> str:
    return f" ({scene.message.limit})" if scene.message.limit else ""


def _parts(address: str) -> tuple[str, str]:
    local, _at, domain = address.rpartition("@")
    return local, domain


def _key(local: str, domain: str) -> tuple[str, str]:
    return local.lower(), domain.lower()
