"""Addresses as Postfix's tables have them.

Form        keys are looked up in external form: `local@domain`, the local part in quotes where
            RFC 5321 wants them (`"john smith"@example.org`), UTF-8 as it is (RFC 6531).
    Mailbox       = Local-part "@" Domain                 RFC 5321 4.1.2
    Local-part    = Dot-string / Quoted-string
Folding     Postfix compares keys without regard to case; so do we where we compare.
See also    addresses(5) of Postfix; mdeliver/addresses.py is for header fields
"""

from __future__ import annotations

import re

from mdeliver.record import Record

_ATOM = r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]|[\ud800-\udfff]")
_DOMAIN = re.compile(r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+(?:\.[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+)*")


class MailAddress(Record):
    """One address: its local part without quotes, its domain in lower case."""

    local: str
    domain: str

    @property
    def text(self) -> str:
        """In external form."""
        return f"{quoted(self.local)}@{self.domain}"

    @property
    def key(self) -> str:
        """What two spellings of one address have in common."""
        return self.text.casefold()


class BadAddress(ValueError):
    """A text that is no address that a table could have; the text says why."""


def parse(text: str) -> MailAddress:
    """The address in TEXT, in external form. Raises BadAddress."""
    local, at, domain = text.strip().rpartition("@")
    if not at:
        raise BadAddress(f'"{text}" has no @')
    if not local:
        raise BadAddress(f'"{text}" stands for a whole domain')
    if local.startswith('"') and local.endswith('"') and len(local) > 1:
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    if not local:
        raise BadAddress(f'"{text}" names nobody: there is nothing between its quotes')
    if _CONTROL.search(local):
        raise BadAddress(f'"{text}" has a character that no address can have')
    if not _DOMAIN.fullmatch(domain):
        raise BadAddress(f'"{domain}" is no domain')
    return MailAddress(local, domain.lower())


def quoted(local: str) -> str:
    """LOCAL as an address has it: in quotes unless it is a Dot-string."""
    if _DOT_STRING.fullmatch(local):
        return local
    escaped = re.sub(r'([\\"])', r"\\\1", local)
    return f'"{escaped}"'


def with_extension(address: MailAddress, delimiter: str, extension: str) -> MailAddress:
    """ADDRESS with an extension."""
    return MailAddress(f"{address.local}{delimiter}{extension}", address.domain)


def is_split(local: str, delimiters: str) -> bool:
    """Whether Postfix takes a piece of LOCAL for an extension, so that no other can be added.

    A delimiter at the very beginning is none; nor are owner-NAME and NAME-request parted.
    """
    return any(c in delimiters for c in local[1:])


def in_table(key: str) -> bool:
    """Whether the text that postmap reads can have KEY in it.

    A line that begins with `#` is a comment, and no quoting helps. White space parts key and value
    unless it is in quotes.
    """
    return not key.startswith("#") and not _CONTROL.search(key)
