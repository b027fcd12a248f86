"""The site's keys for tags of Sent addresses, and the tags that they make.

Tag         twenty characters of base32(HMAC-SHA256(key, owner)): 100 bits, lower case, letters and
            digits only, so that it passes every delimiter, table and case folding unharmed. One
            per mailbox, whatever the address that sends.
Rotation    a new key makes the tags from now on; those of the key before it stay valid for a time,
            since tables are cached and messages wait in queues.
Secrecy     whoever knows a key can make every user's tags. So the file is its owner's alone, and
            no delivery reads it: a delivery runs as its user. It sees only digests of tags
            (evidence.py), from which nobody can make a tag.
File        a line for each key, the oldest first: when it was made (seconds since 1970), the key
            in hexadecimal. Other lines are comments.
Fails with  KeysError, one line: a file that others can read, that is no plain file, or is damaged.
See also    RFC 2104, RFC 4648 section 6
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from base64 import b32encode

from mdeliver import durable
from mdeliver.record import Record
from mdeliver.sent.evidence import MARK, TAG_LENGTH, tag_digest
from mdeliver.sent.files import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PURPOSE = b"mdeliver sent copy 1\0"
"""A key that should one day serve another purpose too makes other words there."""

KEY_BYTES = 32
_PLAIN = re.compile(r"[A-Za-z0-9@._+-]+")
FILE_BYTES = 1 << 20

_HEAD = """\
# Keys for the tags of Sent addresses, by mdeliver bcc-maps; the last one is in use.
# Whoever can read this can forge any user's tag: keep it to its owner, and out of backups for all.
"""


class KeysError(Exception):
    """One line for the administrator."""


class Key(Record):
    """One key; `made_s` is when it was made, seconds since 1970."""

    made_s: int
    secret: bytes


def load_keys(path: str) -> list[Key]:
    """The keys in PATH, the oldest first; [] where there is no such file. Raises KeysError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeysError(f"cannot read the key file {path}: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise KeysError(f"the key file {path} is not a plain file")
        if status.st_mode & 0o077:
            raise KeysError(
                f"others can read the key file {path}: chmod 600 {path}, then make a new key with "
                "mdeliver bcc-maps --rotate --forget"
            )
        if status.st_uid not in (0, os.geteuid()):
            raise KeysError(
                f"the key file {path} belongs to uid {status.st_uid}: chown root {path}"
            )
        text = durable.read_at(fd, FILE_BYTES, 0).decode("ascii", "replace")
    finally:
        durable.close_read(fd)
    return _parse(path, text)


def _parse(path: str, text: str) -> list[Key]:
    keys: list[Key] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        made, _, secret = line.partition(" ")
        try:
            key = Key(int(made), bytes.fromhex(secret))
        except ValueError:
            raise KeysError(f"{path}:{number} is no key: SECONDS HEXADECIMAL is expected") from None
        if len(key.secret) < KEY_BYTES or (keys and key.made_s < keys[-1].made_s):
            raise KeysError(
                f"{path}:{number}: a key is {KEY_BYTES} octets, and newer than the last"
            )
        keys.append(key)
    return keys


def save_keys(path: str, keys: Iterable[Key]) -> None:
    """Write KEYS to PATH in one step, readable by the owner alone."""
    lines = [f"{key.made_s} {key.secret.hex()}\n" for key in keys]
    replace_file(path, (_HEAD + "".join(lines)).encode(), 0o600)


def new_key(now_s: int) -> Key:
    """A fresh key."""
    return Key(now_s, secrets.token_bytes(KEY_BYTES))


def rotated(keys: list[Key], now_s: int, valid_s: int) -> list[Key]:
    """KEYS and a new one; without those whose tags have been invalid for another VALID_S.

    A key stays for a while after its time, so that a late copy is told from a forged one.
    """
    kept = [k for n, k in enumerate(keys) if not _ended(keys, n, now_s, 2 * valid_s)]
    return [*kept, new_key(max([now_s, *[k.made_s for k in keys]]))]


def _ended(keys: list[Key], number: int, now_s: int, valid_s: int) -> bool:
    return number + 1 < len(keys) and keys[number + 1].made_s + valid_s <= now_s


def ends_s(keys: list[Key], number: int, valid_s: int) -> int:
    """When tags of the key NUMBER end, seconds since 1970; 0 for the one in use."""
    return keys[number + 1].made_s + valid_s if number + 1 < len(keys) else 0


def make_tag(key: Key, owner: str) -> str:
    """The tag of the mailbox OWNER under KEY."""
    words = _PURPOSE + owner.encode("utf-8", "surrogateescape")
    digest = hmac.digest(key.secret, words, "sha256")
    # Five octets make eight characters.
    return b32encode(digest[: -(-TAG_LENGTH // 8) * 5]).decode().lower()[:TAG_LENGTH]


def extension_of(key: Key, owner: str) -> str:
    """The extension of OWNER's secret Sent address."""
    return MARK + make_tag(key, owner)


def digest_table(keys: list[Key], owners: Iterable[tuple[str, ...]], valid_s: int) -> bytes:
    """What deliveries recognise tags by: for each tag a line that does not tell it.

    owners  the names of each mailbox, first the one that its tag is made of
    """
    lines = []
    for names in dict.fromkeys(owners):
        owner = names[0]
        name = " ".join(map(quoted_owner, dict.fromkeys(names)))
        for number, key in enumerate(keys):
            digest = tag_digest(make_tag(key, owner))
            lines.append(f"{digest} {ends_s(keys, number, valid_s)} {name}\n")
    lines.sort()
    return "".join(lines).encode()


def quoted_owner(owner: str) -> str:
    """OWNER as one printable word."""
    if _PLAIN.fullmatch(owner):
        return owner
    from urllib.parse import quote

    return quote(owner, safe="@+=.,'!$&*/^{}|~?`-_", errors="surrogateescape")
