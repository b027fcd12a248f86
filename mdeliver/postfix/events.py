"""What Postfix's log says about mail: refused, taken in, delivered, out of the queue.

    smtpd       ID: reject: RCPT from NAME[ADDRESS]: REPLY; from=<S> to=<R> proto=… helo=<H>
    postscreen  ID: reject: RCPT from [ADDRESS]:PORT: REPLY; from=<S>, to=<R>, proto=…, helo=<H>
    cleanup     ID: reject: header LINE from NAME[ADDRESS]; from=<S> to=<R> proto=… helo=<H>: REPLY

Hostile     REPLY, LINE, S, R and H are the stranger's words, and may look like all the rest. The
            fields are read by the grammar below; where that fails, or something else in the line
            looks like them, the refusal is doubtful: nobody is to draw conclusions from it.
See also    smtpd(8) log_whatsup, cleanup(8), postscreen(8) and POSTSCREEN_README, qmgr(8)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from sys import intern
from typing import NamedTuple

from mdeliver.postfix.checks import check_of
from mdeliver.postfix.maillog import Clock, Wanted, entries


class Refusal(NamedTuple):
    """A message, or what might have become one, that Postfix did not take as it came.

    action       refused, warned (warn_if_reject: taken all the same), discarded, held
    check        restriction or setting, as checks.py names it
    stage        CONNECT, EHLO, MAIL, RCPT, DATA, END-OF-MESSAGE …
    client_name  as verified by DNS; "" if there is none
    client       its address
    endpoint     address and port, from postscreen; else ""
    reply        what the client was told
    sender       None where there was none yet; "" is the null sender
    recipient    None where there was none yet, or where all are meant
    doubtful     whether the words of the log could be read in another way
    queue_id     of the message, if it has one already, else ""
    """

    time_s: float
    action: str
    check: str
    stage: str
    client_name: str
    client: str
    endpoint: str
    reply: str
    sender: str | None = None
    recipient: str | None = None
    helo: str = ""
    doubtful: bool = False
    queue_id: str = ""


class Screened(NamedTuple):
    """What postscreen found out about a connection, or that the connection is over.

    finding  such as "PREGREET"; "PASS" if it was let through, "DISCONNECT" at its end
    """

    time_s: float
    endpoint: str
    finding: str


class Brought(NamedTuple):
    """A client has begun a message that has a queue id. sasl_username is "" for strangers."""

    time_s: float
    queue_id: str
    client_name: str
    client: str
    sasl_username: str


class Queued(NamedTuple):
    """A message has been taken in."""

    time_s: float
    queue_id: str
    sender: str


class Sent(NamedTuple):
    """A message was delivered to a recipient; outside is whether it left this host by SMTP."""

    time_s: float
    queue_id: str
    recipient: str
    outside: bool


class Removed(NamedTuple):
    """A message has left the queue."""

    time_s: float
    queue_id: str


class Passed(NamedTuple):
    """All of the above of one message, from client to removed: fields of Brought, Queued, Sent."""

    time_s: float
    queue_id: str
    client_name: str
    client: str
    sasl_username: str
    queued_s: float
    sender: str
    sent: list[tuple[float, str, bool]]


Event = Refusal | Screened | Brought | Queued | Sent | Removed | Passed

_ACTIONS = {
    "reject": "refused",
    "milter-reject": "refused",
    "proxy-reject": "refused",
    "reject_warning": "warned",
    "discard": "discarded",
    "milter-discard": "discarded",
    "hold": "held",
    "milter-hold": "held",
    "milter-quarantine": "held",
}

# What each daemon logs that says something of mail; most lines are left here, undecoded.
_DECISION = rb"\w+: (?:%s): " % b"|".join(action.encode() for action in _ACTIONS)
_SCREENED = b"|".join(
    (
        *(b"PREGREET ", b"DNSBL rank ", b"DENYLISTED ", b"BLACKLISTED ", b"BARE NEWLINE "),
        *(b"NON-SMTP COMMAND ", b"COMMAND PIPELINING ", b"COMMAND (?:TIME|COUNT|LENGTH) LIMIT "),
        *(b"PASS (?:NEW|OLD) ", b"DISCONNECT "),
    )
)
_LOCAL_DELIVERY = (b"local", b"virtual", b"lmtp", b"pipe", b"discard")
WANTED = Wanted(
    {
        b"smtpd": rb"\w+: client=|warning: [\w ]+ limit exceeded: |" + _DECISION,
        b"cleanup": _DECISION,
        b"postscreen": _SCREENED + rb"|" + _DECISION,
        b"qmgr": rb"\w+: (?:from=<|removed(?:\n|$))",
        **dict.fromkeys((*_LOCAL_DELIVERY, b"smtp"), rb"\w+: to=<[^\n]* status=sent "),
    }
)

# --- fields ----------------------------------------------------------------------------------

# An address in external form (RFC 5321 4.1.2 Path, tolerant): a local part with odd characters is
# in quotes. Older releases quote nothing: what they log of such an address has no reading.
_ADDRESS = r'<((?:"(?>[^"\\]+|\\.)*+"@)?[^<>" ]*+)>'
_FIELDS = re.compile(
    rf";(?: from={_ADDRESS},?)?(?: to={_ADDRESS},?)?(?: proto=(\w+),?)?(?: helo=<([^<>]*+)>)?"
    r"(?: sasl_username=<[^<>]*+>)?(: |$)"
)
_FIRST_FIELDS = ("; from=<", "; to=<", "; proto=")
_MOST_READINGS = 8
"""Places in one line where the fields could begin; more than this is nobody's honest log."""

_CLIENT = r"([^\s\[\]]*)\[([^\s\[\]]+)\](:\d+)?"
_DECIDED = re.compile(rf"(\w+): ({'|'.join(_ACTIONS)}): ")
_STAGE = re.compile(rf"([A-Za-z_ -]{{1,30}}?) from {_CLIENT}: ", re.DOTALL)
# What nearly every refusal looks like; whatever does not is read step by step.
_PLAIN = re.compile(
    rf"(\w+): (reject|reject_warning): ([A-Z]+) from {_CLIENT}: (.*?); from=<([^<>\" ]*+)>,? "
    r"to=<([^<>\" ]*+)>,? proto=\w+,? helo=<([^<>]*+)>"
)
_CONTENT_CLIENT = re.compile(rf" from {_CLIENT}$", re.DOTALL)
_LIMIT = re.compile(rf"warning: ([\w ]+ limit exceeded: \d+) from {_CLIENT} for service ")
_BROUGHT = re.compile(rf"(\w+): client={_CLIENT}(?:.*, sasl_username=([^, ]+))?", re.DOTALL)
_TO_THIS_HOST = re.compile(r">, (?:orig_to=<[^>]*>, )?relay=[^ ]*\[(?:127\.|::1\])")
_ENDPOINT = re.compile(r"(?:^[A-Z ]+|(?: from| for) )(\[[^\s\[\]]+\]:\d+)")


class _Fields(NamedTuple):
    start: int
    end: int
    sender: str | None
    recipient: str | None
    helo: str
    doubtful: bool


def _fields(text: str, *, at_end: bool) -> _Fields | None:
    """The fields in TEXT: at its end, or followed by ": " and a reply; None if they are garbled."""
    word = next((word for word in _FIRST_FIELDS if word in text), None)
    if word is None:
        return _Fields(len(text), len(text), None, None, "", doubtful=False)
    reading = None
    at = text.find(word)
    for _ in range(_MOST_READINGS):
        found = _FIELDS.match(text, at)
        if found and (found[5] == "") == at_end:
            reading = found
            # What stands within these fields is a part of them, not another reading.
            at = found.end() - 1
        at = text.find(word, at + 1)
        if at < 0:
            break
    if reading is None:
        return None
    sender, recipient, _protocol, helo, _ = reading.groups()
    # Nobody's address has this in it, but who wants to be read in another way.
    doubtful = text.count(word) > 1
    return _Fields(reading.start(), reading.end(), sender, recipient, helo or "", doubtful)


# --- the daemons -----------------------------------------------------------------------------


def _smtpd(time_s: float, text: str) -> Event | None:
    if brought := _BROUGHT.match(text):
        queue_id, name, client, _port, user = brought.groups()
        return Brought(time_s, queue_id, _verified(name), client, user or "")
    if limit := _LIMIT.match(text):
        words, name, client, _port = limit.groups()
        kind = ("refused", "client limits", "CONNECT")
        return Refusal(time_s, *kind, _verified(name), client, "", words)
    return _decision(time_s, text, "smtpd")


def _cleanup(time_s: float, text: str) -> Event | None:
    return _decision(time_s, text, "cleanup")


def _decision(time_s: float, text: str, service: str) -> Refusal | None:
    """A line of smtpd, cleanup or postscreen that ends in fields, or in a reply after them."""
    # Where the fields begin once only there is one reading of the line, and a fast one.
    if text.count(_FIRST_FIELDS[0]) == 1 and (plain := _PLAIN.fullmatch(text)):
        queue_id, action, where, name, client, port, reply, sender, to, helo = plain.groups()
        endpoint = f"[{client}]{port}" if port else ""
        kind = (_ACTIONS[action], check_of(service, action, reply), where)
        fields = _Fields(0, 0, sender, to, helo, doubtful=False)
        return _refusal(time_s, kind, (name, client, endpoint), reply, queue_id, fields)
    return _odd_decision(time_s, text, service)


def _odd_decision(time_s: float, text: str, service: str) -> Refusal | None:
    """The same, of any line: read step by step."""
    decided = _DECIDED.match(text)
    if decided is None:
        return None
    queue_id, action = decided.groups()
    rest = text[decided.end() :]
    stage = _STAGE.match(rest)
    if stage is None:
        return _content(time_s, queue_id, action, rest) if service == "cleanup" else None
    fields = _fields(rest[stage.end() - 2 :], at_end=True)
    reply = rest[stage.end() :]
    if fields:
        reply = reply[: max(0, fields.start - 2)]
    else:
        reply = reply.partition(_FIRST_FIELDS[0])[0]
    check = check_of(service, action, reply)
    where, name, client, port = stage.groups()
    endpoint = f"[{client}]{port}" if port else ""
    kind = (_ACTIONS[action], check, where)
    return _refusal(time_s, kind, (name, client, endpoint), reply, queue_id, fields)


def _content(time_s: float, queue_id: str, action: str, rest: str) -> Refusal | None:
    """header_checks and body_checks: the line that was found is quoted before the fields."""
    fields = _fields(rest, at_end=False)
    client = _CONTENT_CLIENT.search(rest[: fields.start]) if fields else None
    if fields is None or client is None:
        return None
    check = check_of("cleanup", action, rest)
    reply = f"{rest[fields.end :]} ({rest[: client.start()]})"
    kind = (_ACTIONS[action], check, "END-OF-MESSAGE")
    return _refusal(time_s, kind, (client[1], client[2], ""), reply, queue_id, fields)


def _refusal(
    time_s: float,
    kind: tuple[str, str, str],
    client: tuple[str, str, str],
    reply: str,
    queue_id: str,
    fields: _Fields | None,
) -> Refusal:
    """One Refusal; KIND is action, check and stage, CLIENT is name, address and endpoint."""
    name, address, endpoint = client
    action, check, stage = kind
    about = (time_s, action, check, intern(stage), _verified(name), address, endpoint, reply)
    known_id = "" if queue_id == "NOQUEUE" else queue_id
    if fields is None:
        return Refusal(*about, doubtful=True, queue_id=known_id)
    _start, _end, sender, recipient, helo, doubtful = fields
    # There are few recipients and many tries: one object for each.
    recipient = recipient and intern(recipient)
    return Refusal(*about, sender, recipient, helo, doubtful, known_id)


def _verified(name: str) -> str:
    return "" if name == "unknown" else name


def _postscreen(time_s: float, text: str) -> Event | None:
    if text.startswith("NOQUEUE: "):
        return _decision(time_s, text, "postscreen")
    endpoint = _ENDPOINT.search(text)
    if endpoint is None:
        return None
    words = text.split(" ", 2)
    finding = words[0] if words[0] in _ONE_WORD else " ".join(words[:2])
    return Screened(time_s, endpoint[1], finding)


_ONE_WORD = frozenset({"PREGREET", "DNSBL", "DENYLISTED", "BLACKLISTED", "PASS", "DISCONNECT"})


def _qmgr(time_s: float, text: str) -> Event | None:
    queue_id, _, rest = text.partition(": ")
    if rest == "removed":
        return Removed(time_s, queue_id)
    # qmgr's own fields follow; the sender may have what looks like them in quotes.
    sender, found, _ = rest[len("from=<") :].rpartition(">, size=")
    return Queued(time_s, queue_id, sender) if found else None


def _delivered(time_s: float, text: str) -> Event | None:
    queue_id, _, rest = text.partition(": ")
    recipient, found, _ = rest[len("to=<") :].partition(">, ")
    return Sent(time_s, queue_id, recipient, outside=False) if found else None


def _smtp(time_s: float, text: str) -> Event | None:
    # A filter on this host (FILTER_README) brings the message again, and then it is delivered.
    if _TO_THIS_HOST.search(text):
        return None
    sent = _delivered(time_s, text)
    return sent._replace(outside=True) if isinstance(sent, Sent) else None


_READERS: dict[bytes, Callable[[float, str], Event | None]] = {
    b"smtpd": _smtpd,
    b"cleanup": _cleanup,
    b"postscreen": _postscreen,
    b"qmgr": _qmgr,
    b"smtp": _smtp,
    **dict.fromkeys(_LOCAL_DELIVERY, _delivered),
}


def events(octets: bytes, clock: Clock) -> Iterator[Event]:
    """The events in OCTETS, which are whole lines; most of them say nothing of mail."""
    for entry in entries(octets, WANTED):
        time_s = clock.seconds(entry.stamp)
        if time_s is None:
            continue
        event = _READERS[entry.daemon](time_s, entry.text.decode("utf-8", "backslashreplace"))
        if event is not None:
            yield event
