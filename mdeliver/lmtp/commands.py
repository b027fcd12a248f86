"""LMTP command lines: octets to values, or to the reply that refuses them.

Pure        nothing is remembered between two lines; protocol.py has the order of commands.
Strict      paths stand in <>, parameters are those that were offered, no control character passes.
Addresses   come out as Postfix has them inside: without source routes, local parts without quotes.
Fails with  Refusal, which carries the reply.
See also    RFC 5321 4.1; RFC 2033 (LMTP), 1870 (SIZE), 3461 (DSN), 6152 (8BITMIME), 6531
            (SMTPUTF8), 3030 (CHUNKING); Postfix XFORWARD_README
"""

from __future__ import annotations

import re
from functools import lru_cache

from mdeliver.record import Record

ADDRESS_OCTETS = 1000
"""Longer addresses are refused; RFC 5321 asks for 256."""

FORWARDED_NAMES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
"""The attributes of XFORWARD."""

_UNKNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ORCPT_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_CONTROL_OCTETS = bytes([*range(0x20), 0x7F])
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Refusal(Exception):
    """A command that is refused; `reply` says how."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class Mail(Record):
    """MAIL FROM.

    sender    "" is the null sender
    size      octets that the client announces, 0 if it did not
    smtputf8  whether addresses and header may be UTF-8
    ret       FULL, HDRS or ""
    envid     as the client gave it, decoded
    """

    sender: str
    size: int = 0
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""


class Rcpt(Record):
    """RCPT TO.

    recipient  as the MTA delivers it
    original   ORCPT: as the MTA got it; "" if it did not say
    notify     words of NOTIFY, () if it was not given
    """

    recipient: str
    original: str = ""
    notify: tuple[str, ...] = ()


def split_command(line: bytes) -> tuple[bytes, bytes]:
    """The verb in upper case, and the rest without white space around it."""
    if line.translate(None, _CONTROL_OCTETS) != line:
        raise Refusal("500 5.5.2 control character in a command; lines end with CR LF alone")
    verb, _, rest = line.strip(b" ").partition(b" ")
    return verb.upper(), rest.strip(b" ")


def parse_mail(rest: bytes, size_limit: int) -> Mail:
    """What follows MAIL; SIZE_LIMIT in octets, 0 for none."""
    path, parameters = _split_path(rest, _FROM, "501 5.5.4 say MAIL FROM:<address>")
    size, smtputf8, ret, envid = 0, False, "", ""
    for name, value in parameters:
        if name == "SIZE":
            size = _size(value, size_limit)
        elif name == "BODY":
            if value.upper() not in (b"7BIT", b"8BITMIME"):
                raise Refusal("555 5.5.4 BODY is 7BIT or 8BITMIME here; BINARYMIME is not offered")
        elif name == "SMTPUTF8" and not value:
            smtputf8 = True
        elif name == "RET":
            if value.upper() not in (b"FULL", b"HDRS"):
                raise Refusal("501 5.5.4 RET is FULL or HDRS")
            ret = value.upper().decode()
        elif name == "ENVID":
            envid = from_xtext(value, "ENVID")
        else:
            raise Refusal(f"555 5.5.4 MAIL FROM has no parameter {name} here")
    sender = _address(path, smtputf8, "501 5.1.7 sender") if path else ""
    return Mail(sender, size, smtputf8, ret, envid)


@lru_cache(200)
def parse_rcpt(rest: bytes, smtputf8: bool) -> Rcpt:
    """What follows RCPT; SMTPUTF8 as MAIL said. The same few are written to all the time."""
    path, parameters = _split_path(rest, _TO, "501 5.5.4 say RCPT TO:<address>")
    original = ""
    notify: tuple[str, ...] = ()
    for name, value in parameters:
        if name == "ORCPT":
            original = _original(value)
        elif name == "NOTIFY":
            notify = _notify(value)
        else:
            raise Refusal(f"555 5.5.4 RCPT TO has no parameter {name} here")
    if not path:
        raise Refusal("501 5.1.3 nobody is called <>")
    return Rcpt(_address(path, smtputf8, "501 5.1.3 recipient"), original, notify)


def parse_bdat(rest: bytes) -> tuple[int, bool]:
    """What follows BDAT: octets of the chunk, and whether it is the last."""
    count, *last = rest.split() or [b""]
    if (
        not count.isdigit()
        or len(count) > 18
        or [word.upper() for word in last]
        not in (
            [],
            [b"LAST"],
        )
    ):
        raise Refusal("501 5.5.4 say BDAT size, or BDAT size LAST")
    return int(count), bool(last)


def parse_xforward(rest: bytes) -> dict[str, str]:
    """What follows XFORWARD; a value that the MTA does not know is ""."""
    found = {}
    for word in rest.split():
        name, equals, value = word.partition(b"=")
        key = name.upper().decode("ascii", "replace")
        if not equals or key not in FORWARDED_NAMES:
            raise Refusal(f"501 5.5.4 XFORWARD has no attribute {key} here")
        text = from_xtext(value, key)
        found[key] = "" if text.upper() in _UNKNOWN else text
    if not found:
        raise Refusal("501 5.5.4 say XFORWARD attribute=value")
    return found


def from_xtext(value: bytes, name: str) -> str:
    """VALUE of the parameter NAME, decoded (RFC 3461, 4): `+2B` is a plus sign."""
    if not _XTEXT.fullmatch(value):
        raise Refusal(f"501 5.5.4 {name} is not xtext")
    if b"+" not in value:
        return value.decode("ascii")
    first, *rest = value.split(b"+")
    octets = first + b"".join([bytes((int(piece[:2], 16),)) + piece[2:] for piece in rest])
    text = octets.decode("utf-8", "backslashreplace")
    if _CONTROL.search(text):
        raise Refusal(f"501 5.5.4 control character in {name}")
    return text


# What stands in <>, where a > within quotes does not end it, and parameters (RFC 5321, 4.1.2).
_PATH = rb'%s: *<([^">]*(?:"(?:[^"\\]|\\.)*"[^">]*)*)>(?: (.*))?'
_FROM, _TO = [re.compile(_PATH % word, re.DOTALL | re.IGNORECASE) for word in (b"FROM", b"TO")]


def _split_path(
    rest: bytes, form: re.Pattern[bytes], usage: str
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Part `FROM:<path> NAME=VALUE ...`: what stands in <>, and the parameters."""
    found = form.fullmatch(rest)
    if found is None:
        raise Refusal(usage)
    path, others = found.groups(b"")
    parameters = []
    for parameter in others.split():
        name, _, value = parameter.partition(b"=")
        parameters.append((name.upper().decode("ascii", "backslashreplace"), value))
    if len(dict(parameters)) != len(parameters):
        raise Refusal("501 5.5.4 a parameter is given twice")
    return path, parameters


def _address(path: bytes, smtputf8: bool, code_and_what: str) -> str:
    """PATH without source route and without quotes around the local part."""
    if path.startswith(b"@"):
        path = path.partition(b":")[2]
    try:
        text = path.decode("utf-8" if smtputf8 else "ascii")
    except UnicodeDecodeError:
        if smtputf8:
            raise Refusal(f"{code_and_what} address is not UTF-8") from None
        raise Refusal(
            "553 5.6.7 address is not ASCII, and MAIL FROM did not say SMTPUTF8"
        ) from None
    if len(path) > ADDRESS_OCTETS:
        raise Refusal(f"{code_and_what} address is longer than {ADDRESS_OCTETS} octets")
    local, at, domain = text.rpartition("@")
    if not at:
        local, domain = text, ""
    if local.startswith('"'):
        if len(local) < 2 or not local.endswith('"'):
            raise Refusal(f"{code_and_what} address has a quote that does not end")
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    elif " " in local:
        raise Refusal(f"{code_and_what} address has a space")
    if not local or (at and not domain) or " " in domain or _CONTROL.search(text):
        raise Refusal(f"{code_and_what} address is malformed")
    return f"{local}{at}{domain}"


def _size(value: bytes, limit: int) -> int:
    if not value.isdigit() or len(value) > 20:
        raise Refusal("501 5.5.4 SIZE is a number of octets")
    size = int(value)
    if limit and size > limit:
        raise Refusal(f"552 5.3.4 message of {size} octets; the limit here is {limit}")
    return size


def _original(value: bytes) -> str:
    """ORCPT=type;xtext; the type `utf-8` writes characters as `\\x{HEX}` (RFC 6533, 3)."""
    kind, semicolon, address = value.partition(b";")
    if not semicolon or not kind:
        raise Refusal("501 5.5.4 ORCPT is type;address")
    if kind.lower() != b"utf-8":
        return from_xtext(address, "ORCPT")
    try:
        text = address.decode()
        text = _ORCPT_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        text.encode()
    except (ValueError, OverflowError):
        raise Refusal("501 5.5.4 ORCPT is not UTF-8") from None
    if _CONTROL.search(text):
        raise Refusal("501 5.5.4 control character in ORCPT")
    return text


def _notify(value: bytes) -> tuple[str, ...]:
    words = tuple(value.upper().decode("ascii", "replace").split(","))
    if words != ("NEVER",) and not set(words) <= {"SUCCESS", "FAILURE", "DELAY"}:
        raise Refusal("501 5.5.4 NOTIFY is NEVER, or of SUCCESS, FAILURE, DELAY")
    return words
