"""Whether a delivery came to the user's own secret Sent address.

Address     ann+sent-TAG@example.org; the map of `mdeliver bcc-maps` sends copies there. Whoever
            can write to it gets a message into Ann's Sent folder, so the tag must be a secret,
            and Postfix must send copies there only where it knows who the sender is.
Table       a delivery runs as its user, and users may be hostile to each other: it cannot be given
            the site's key. Nor is there a key file for each user, which virtual users of one
            system user would share. What deliveries read is a table that anybody may read, with
            a one-way digest of each tag (100 bits: no search finds one), its end and its owner.
            It shows that a tag is right to whoever has it, and tells nobody any.
Believed    only where the site says so ([sent] believe_tags), from a table that root or the user
            owns and nobody else can write. A user can thus deceive nobody but himself.
Owner       a login name and the main address, or the whole address of a virtual mailbox.
Cost        deliveries without such an extension stop at its first letters.
Fails with  nothing: what cannot be read is no evidence, and the trace says why.
See also    keys.py, which writes the table; SECURITY.md
"""

from __future__ import annotations

from mdeliver import durable, limits, system
from mdeliver.envelope import NO_TAG, SentTag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.settings import Site

MARK = "sent-"
"""How the extension of a Sent address begins."""

TAG_LENGTH = 20
"""Characters of a tag: 100 bits in base32."""

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz234567")


def tag_in(envelope: Envelope, site: Site) -> str:
    """The tag in the address of this delivery; "" if there is none."""
    extension = envelope.extension
    if not extension:
        # A local part that must be quoted may come in its quotes.
        local = (envelope.recipient.rpartition("@")[0] or envelope.recipient).strip('"')
        found = [at for c in site.recipient_delimiter if (at := local.find(c, 1)) > 0]
        extension = local[min(found) + 1 :] if found else ""
    tag = extension[len(MARK) :].lower()
    if extension[: len(MARK)].lower() != MARK or len(tag) != TAG_LENGTH or set(tag) - _LETTERS:
        return ""
    return tag


def look_up(envelope: Envelope, site: Site, now_s: float) -> SentTag:
    """What the tag of this delivery proves.

    now_s  seconds since 1970
    """
    tag = tag_in(envelope, site)
    if not tag:
        lost = tag_in(envelope.replace(extension="", recipient=envelope.original_recipient), site)
        return SentTag(lost, words="an alias took its tag away") if lost else NO_TAG
    try:
        table = _read_table(site.tags_path, envelope.uid)
        mine, words = _judge(tag, table, envelope, now_s)
    except OSError as error:
        return SentTag(tag, words=f"it has a tag, but {site.tags_path}: {error.strerror}")
    except ValueError as error:
        return SentTag(tag, words=f"it has a tag, but {site.tags_path}: {error}")
    if mine and not site.believe_tags:
        words = f"{words}, but the site does not believe tags (sent.believe_tags)"
    return SentTag(tag, mine, mine and site.believe_tags, words)


def _judge(tag: str, table: bytes, envelope: Envelope, now_s: float) -> tuple[bool, str]:
    """Whether TAG is this user's, and why. Raises ValueError where the table is damaged."""
    # Every line ends in a newline, and a digest stands at the beginning of one.
    start = b"\n" + tag_digest(tag).encode() + b" "
    at = 0 if table.startswith(start[1:]) else table.find(start) + 1
    if at == 0 and not table.startswith(start[1:]):
        return False, "its tag is none of this site's"
    line = table[at : table.find(b"\n", at)].decode("ascii", "replace")
    _digest, ends, *names = line.split(" ")
    owner, *others = map(_unquoted, names)
    if not {owner, *others} & set(_names_of(envelope)):
        return False, f"its tag is {owner}'s, not {envelope.user}'s"
    if ends != "0" and now_s >= int(ends):
        return False, "its tag is of an old key, no longer valid"
    return True, f"it came to the Sent address of {owner}"


def without_tag(letter: Letter, tag: str, delimiters: str) -> Letter:
    """LETTER without the secret: TAG and its mark go from every field of the head.

    Postfix writes it into X-Original-To, Delivered-To and `for <...>` of Received; what is left
    there is the plain address. It goes where the tag is no proof, too: it may be somebody else's.
    """
    secret = f"{MARK}{tag}".encode()
    head, lower = letter.head, letter.head.lower()
    pieces = []
    start = 0
    while (at := lower.find(secret, start)) >= 0:
        cut = at - 1 if at > start and chr(head[at - 1]) in delimiters else at
        pieces.append(head[start:cut])
        start = at + len(secret)
    if not start:
        return letter
    from mdeliver.edits import with_head

    return with_head(letter, b"".join(pieces) + head[start:])


def _names_of(envelope: Envelope) -> tuple[str, ...]:
    """What the table may call the owner of the mailbox that is delivered to."""
    user = envelope.user
    if "@" in user:
        return (user, user.lower())
    return (user, f"{user}@{envelope.domain}".lower())


def tag_digest(tag: str) -> str:
    """What the table has in the place of TAG."""
    from _blake2 import blake2b

    return blake2b(tag.encode(), digest_size=16, person=b"mdeliver sent").hexdigest()


def _read_table(path: str, uid: int) -> bytes:
    """The table; raises ValueError where others could have written it, OSError."""
    fd = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    try:
        status = system.fstat(fd)
        if not system.is_regular(status) or status.st_uid not in (0, uid):
            raise ValueError("it is no plain file of root's")
        if status.st_mode & 0o022:
            raise ValueError("it can be written by others")
        return durable.read_at(fd, limits.TAGS_BYTES, 0)
    finally:
        durable.close_read(fd)


def _unquoted(owner: str) -> str:
    """OWNER as it was before it was made one printable word (percent-encoding)."""
    if "%" not in owner:
        return owner
    first, *rest = owner.split("%")
    octets = first.encode()
    for piece in rest:
        octets += bytes.fromhex(piece[:2]) + piece[2:].encode()
    return octets.decode("utf-8", "surrogateescape")
