"""What our own servers found out about the sender: Authentication-Results (RFC 8601).

    authres-payload = [CFWS] authserv-id [CFWS version] (no-result / 1*resinfo)
    resinfo         = ";" methodspec [reasonspec] [1*propspec]
    methodspec      = method ["/" version] "=" result
    propspec        = ptype "." property "=" pvalue

Anybody can write such a field. What is believed depends on where it stands:

    Return-Path, ...                        written here
    A-R  ──────────────────────────────┐    above the border: believed
    Received: from localhost [127.0.0.1]    a content filter on this host brought it back
    A-R  ──────────────────────────────┘
    Received: from CLIENT [192.0.2.1]       the border: our server took it from outside
    A-R                                     below: a milter's (Postfix puts what OpenDKIM and
    ...                                     OpenDMARC add here) or what the client sent
    Received: ...                           nothing from here on is ours

Below the border a field is believed if its id ends in `/QUEUE-ID` of the border's Received, which
no client can know (OpenDKIM's and OpenDMARC's AuthservIDWithJobID), or if the site has named its
`authserv_ids`: whoever does so says that its filters remove such fields from what comes in (RFC
8601 5), as both do. Of several fields the topmost that has a result of a method counts for it.

Conflicts     several DKIM signatures: one that passes is enough (RFC 6376 6.1). Otherwise `pass`
              beside another result of the same method is dropped: somebody got words into a field.
              SPF of the HELO name counts only where there is none of the sender.
From          of a message with two From fields nobody knows whose it is: neither dkim nor dmarc
              passes, whatever a filter said of one of them
Guarantee     nothing raises, linear time; no more than limits.RESULTS_TEXT is read.
Cost          the package authres says the same for 80 ms; it is not on a delivery's way.
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.message import plain_text
from mdeliver.record import Record
from mdeliver.structured import words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.message import Message
    from mdeliver.settings import Site
    from mdeliver.structured import Word

_LOOPBACK = ("[127.0.0.1]", "[::1]", "[ipv6:::1]")


class Result(Record):
    """One finding: the method, its result (lower case) and the properties that it looked at.

    properties  name (lower case) and value of each: ("header.d", "example.org")
    reason      why, in words; "" where somebody else found it
    """

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    def value(self, name: str) -> str:
        """The value of the property NAME, "" if there is none."""
        return next((value for known, value in self.properties if known == name), "")


class Believed(Record):
    """Results of the fields that are believed, topmost first, and how many were not.

    refused  how many others bear our name
    numbers  which fields are believed: their numbers among all Authentication-Results, from 1
    """

    fields: tuple[tuple[Result, ...], ...]
    refused: int
    numbers: tuple[int, ...] = ()

    def of(self, method: str) -> tuple[str, ...]:
        """The results of METHOD; ("none",) where nothing is known."""
        return agreed(method, self.found(method))

    def found(self, method: str) -> tuple[Result, ...]:
        """All that the topmost field with METHOD says of it."""
        for field in self.fields:
            found = tuple([result for result in field if result.method == method])
            if found:
                return found
        return ()


def agreed(method: str, found: tuple[Result, ...]) -> tuple[str, ...]:
    """What FOUND, all results of METHOD, come to; ("none",) where there are none."""
    if not found:
        return ("none",)
    if method == "spf":
        of_sender = tuple([r for r in found if any(n == "smtp.mailfrom" for n, _ in r.properties)])
        found = of_sender or found
    results = tuple(dict.fromkeys([r.result for r in found]))
    if "pass" in results and len(results) > 1:
        return ("pass",) if method == "dkim" else tuple([r for r in results if r != "pass"])
    return results


def believed(message: Message, site: Site) -> Believed:
    """The results in MESSAGE that SITE's own servers wrote."""
    fields: list[tuple[Result, ...]] = []
    numbers: list[int] = []
    refused = number = 0
    below, queue_id, room = False, "", limits.RESULTS_TEXT
    border = _border(message)
    for index, (name, raw) in enumerate(message.fields):
        name = name.lower()
        if index == border:
            below = True
            queue_id = _queue_id(plain_text(raw))
        elif below and name == "received":
            break
        if name != "authentication-results":
            continue
        number += 1
        room -= len(raw)
        if room < 0:
            message.limit = f"more than {limits.RESULTS_TEXT >> 10} KB of Authentication-Results"
            break
        authserv_id, found = parse_results(plain_text(raw))
        if not _is_ours(authserv_id, site):
            continue
        _host, _slash, job = authserv_id.partition("/")
        if not below or site.authserv_ids or (queue_id and job.lower() == queue_id.lower()):
            fields.append(of_one_author(found, message))
            numbers.append(number)
        else:
            refused += 1
    if border < 0:
        # No server of ours is known to have touched it: nothing stands above a border.
        return Believed((), len(fields) + refused)
    return Believed(tuple(fields), refused, tuple(numbers))


def of_one_author(found: tuple[Result, ...], message: Message) -> tuple[Result, ...]:
    """FOUND, without a pass of dkim or dmarc if MESSAGE has several From fields."""
    fields = len(message.raw("from"))
    if fields < 2:
        return found
    why, instead = f"there are {fields} From fields", {"dkim": "policy", "dmarc": "fail"}
    return tuple(
        [
            r.replace(result=instead[r.method], reason=why)
            if r.result == "pass" and r.method in instead
            else r
            for r in found
        ]
    )


def forged(message: Message, site: Site) -> tuple[int, ...]:
    """Numbers, from 1, of the Authentication-Results that bear our name and are not believed.

    RFC 8601 5: whoever adds such a field removes those that were forged in its name.
    """
    ours = believed(message, site).numbers
    found = []
    for number, raw in enumerate(message.raw("authentication-results"), 1):
        authserv_id, _found = parse_results(plain_text(raw[: limits.RESULTS_TEXT]))
        if _is_ours(authserv_id, site) and number not in ours:
            found.append(number)
    return tuple(found)


def border_received(message: Message) -> str:
    """The Received by which the message came to this host, "" if there is none."""
    border = _border(message)
    return plain_text(message.fields[border][1][: limits.RESULTS_TEXT]) if border >= 0 else ""


def _border(message: Message) -> int:
    """Where the Received stands by which the message came to this host; -1: there is none."""
    last = -1
    for index, (name, raw) in enumerate(message.fields):
        if name.lower() == "received":
            last = index
            if not _is_internal(plain_text(raw[: limits.RESULTS_TEXT])):
                break
    return last


def _is_internal(received: str) -> bool:
    """Whether a Received says that this host brought the message to itself.

    Postfix writes `from HELO (NAME [ADDRESS])`, with HELO free of parentheses whatever the client
    said, so the first of them hold what the kernel says.
    """
    if not received.startswith("from "):
        return False
    client = received.partition("(")[2].partition(")")[0].lower().split()
    return len(client) == 2 and client[1] in _LOOPBACK


def server_words(received: str) -> list[str]:
    """What a Received says of the server: by HOST with PROTOCOL id QUEUE-ID ...

    Of `from HELO (NAME [ADDRESS])` nothing: Postfix takes a HELO of many words, such as
    `x with ESMTPA id 1`.
    """
    if received.startswith("from "):
        received = received.partition("(")[2].partition(")")[2]
    return [word for _quoted, word in words_of(received)]


def _queue_id(received: str) -> str:
    """The `id` of a Received by SMTP; "" for what was submitted on this host."""
    words = server_words(received)
    if not received.startswith("from ") or "id" not in words:
        return ""
    return next(iter(words[words.index("id") + 1 :]), "")


def _is_ours(authserv_id: str, site: Site) -> bool:
    """Whether one of our servers calls itself so; what follows a slash is the message's id."""
    host = authserv_id.partition("/")[0].lower()
    if site.authserv_ids:
        return host in site.authserv_ids or authserv_id.lower() in site.authserv_ids
    return is_this_host(host, site)


def is_this_host(host: str, site: Site) -> bool:
    """Whether HOST is this host's name."""
    # The kernel's name is often the short one, where Postfix's myhostname never is.
    host, mine = host.lower(), site.hostname.lower()
    return host == mine or ("." not in mine and host.partition(".")[0] == mine)


def parse_results(text: str) -> tuple[str, tuple[Result, ...]]:
    """The authserv-id and the results in TEXT, an unfolded value; "" and () where it is none."""
    pieces: list[list[Word]] = [[]]
    for word in words_of(text):
        if word == (False, ";"):
            pieces.append([])
        else:
            pieces[-1].append(word)
    start = [word for _quoted, word in pieces[0]]
    # authres-version: "1"; of another one nothing is known.
    if not start or not start[0] or len(start) > 2 or start[1:] not in ([], ["1"]):
        return "", ()
    found = [result for piece in pieces[1:] if (result := _result(piece)) is not None]
    return start[0], tuple(found)


def _result(words: list[Word]) -> Result | None:
    if len(words) < 3 or words[1] != (False, "=") or words[0][0] or words[2][0]:
        return None
    method = words[0][1].lower().partition("/")[0]
    result = words[2][1].lower()
    if not method:
        return None
    properties = [
        (words[at][1].lower(), words[at + 2][1] if at + 2 < len(words) else "")
        for at in range(3, len(words) - 1)
        if words[at + 1] == (False, "=") and not words[at][0]
    ]
    # RFC 5451's word for what SPF calls fail.
    return Result(method, "fail" if result == "hardfail" else result, tuple(properties))
