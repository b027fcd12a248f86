"""One line for the MTA's log, in the manner of Postfix's own deliveries.

    mdeliver/local[4711]: 4XyZ1k: to=<ann@example.org>, orig_to=<a@example.org>, relay=mdeliver,
    delay=0.02, delays=0/0/0/0.02, dsn=2.0.0, status=sent (filed to imap/Lists by FILE:12)

Sent        as one datagram to the local syslog, facility mail; never waited for: where syslog is
            away or slow, the line is lost.
Safe        no text of a message can end the line, or look like another field before `status=`.
See also    syslog(3), RFC 3164 section 4.1; Postfix local(8), src/global/log_adhoc.c
"""

from __future__ import annotations

import time

from mdeliver import system
from mdeliver.outcome import one_line
from mdeliver.plan import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mdeliver.plan import Plan
    from mdeliver.settings import Site

_MAIL, _INFO, _NOTICE, _WARNING = 2 << 3, 6, 5, 4
"""Facility, and severities (RFC 3164 4.1.1)."""

_MOST_CHARACTERS = 900
"""Of a line; RFC 3164 gives it 1024 octets, and what is done stands at its end."""

_STATUSES = {"delivered": "sent", "discarded": "sent", "rejected": "bounced"}


def send(said: Mapping[str, Any], plan: Plan | None, site: Site) -> None:
    """Send the line of a delivery; raises OSError where syslog takes none now.

    said  the object of the decision log
    plan  what was carried out, if it came to that
    """
    severity = _INFO if said["outcome"] in ("delivered", "discarded") else _NOTICE
    _send(severity, line(said, plan), site)


def warn(text: str, site: Site) -> None:
    """Send a warning, in Postfix's manner; raises OSError where syslog takes none now."""
    shown = one_line(f"warning: {text}")
    _send(_WARNING, shown[:_MOST_CHARACTERS], site)


def _send(severity: int, text: str, site: Site) -> None:
    import _socket

    # RFC 3164 wants a day of one figure after a space; the C library's own syslog does that too.
    stamp = time.strftime("%b %e %H:%M:%S")
    name = one_line(site.syslog_name)
    datagram = f"<{_MAIL | severity}>{stamp} {name}[{system.getpid()}]: {text}"
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    socket = _socket.socket(_socket.AF_UNIX, kind)
    try:
        socket.sendto(datagram.encode(), site.syslog)
    finally:
        socket.close()


def line(said: Mapping[str, Any], plan: Plan | None) -> str:
    """The line without its beginning; the arguments are those of `send`."""
    seconds = f"{said['duration_s']:.2g}" if said["duration_s"] < 1 else f"{said['duration_s']:.1f}"
    original = said["original_recipient"]
    fields = [
        f"{said['queue_id'] or 'NOQUEUE'}: to=<{_address(said['recipient'])}>",
        f"relay=mdeliver, delay={seconds}, delays=0/0/0/{seconds}, dsn={said['status']}",
        f"status={_STATUSES.get(said['outcome'], 'deferred')} ({one_line(_done(said, plan))})",
    ]
    if original and original != said["recipient"]:
        fields.insert(1, f"orig_to=<{_address(original)}>")
    text = ", ".join(fields)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 2] + "…)"


def _address(address: str) -> str:
    """ADDRESS without what would end it; Postfix too puts `?` in place of odd characters."""
    shown = one_line(address[:256])
    return "".join(["?" if c in "<>," else c for c in shown])


def _done(said: Mapping[str, Any], plan: Plan | None) -> str:
    """What became of the message, and by which rule."""
    if said["outcome"] in ("rejected", "deferred") or plan is None:
        by = f" by {said['rule']}" if said["rule"] else ""
        return f"{said['text']}{by}"
    parts = list(_parts(plan))
    if said["outcome"] == "discarded":
        parts.append(f"discarded by {said['rule']}")
    return "; ".join(parts) or said["text"]


def _parts(plan: Plan) -> Iterator[str]:
    """Each thing done, places of one rule together."""
    places: dict[str | None, list[str]] = {}
    for action in plan.actions:
        if isinstance(action, File):
            name = "/".join([w for w in (action.mailbox, action.folder) if w]) or action.path
            places.setdefault(action.rule, []).append(name)
    for rule, names in places.items():
        yield f"filed to {', '.join(names)} by {rule or 'no rule'}"
    for action in plan.actions:
        if not isinstance(action, File):
            from mdeliver.deedwords import action_words

            yield f"{action_words(action)} by {action.rule}"
