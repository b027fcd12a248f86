"""Folder names: made safe, encoded, and joined to the path of a mailbox.

Guarantee   whatever a message puts into a step, the path stays inside the mailbox, is no other
            file of the mail store (dotlocks, `subscriptions`, a Maildir's own `new`), and is what
            Dovecot 2.3 calls by that name over IMAP.
Steps       separators (in Maildir++ the dot too), control characters and a leading dot become
            `_`, and so does an empty step; long steps are cut.
On disk     modified UTF-7 (RFC 3501 5.1.3), also below a directory of mailboxes, as Dovecot's
            layouts `Maildir++` and `fs` have it.
See also    https://doc.dovecot.org/ "Mailbox directory layouts"
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from mdeliver import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_BYTES = 255
"""Longest name of a directory entry (NAME_MAX of every Linux filesystem)."""

# C0, DEL and C1, the two separators that break lines, and the marks that turn a shown name around.
_UNPRINTABLE = dict.fromkeys(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        0x2028,
        0x2029,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ],
    "_",
)
_IN_MAILDIRPP = _UNPRINTABLE | {ord("/"): "_", ord("."): "_"}
_IN_DIRECTORY = _UNPRINTABLE | {ord("/"): "_"}

# Entries of a Maildir and of Dovecot's directories, which a folder of that name would collide with.
_TAKEN = ("cur", "new", "tmp", "subscriptions", "maildirfolder", "maildirsize")


def safe_step(step: str, *, dots: bool) -> str:
    """STEP as one harmless folder name; DOTS: whether a dot inside is just a character."""
    # A message brings megabytes; a character takes at least one byte.
    step = step[: limits.FOLDER_STEP_BYTES]
    step = step.translate(_IN_DIRECTORY if dots else _IN_MAILDIRPP)
    if not step.isascii():
        # A lone surrogate (raw bytes of the environment) can neither be encoded nor shown.
        step = step.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        step = step.replace("\ufffd", "_")
    # Dovecot refuses names that begin with "~": they could mean a home directory.
    if step[:1] in ("", ".", "~"):
        step = "_" + step[1:]
    step = _cut(step, limits.FOLDER_STEP_BYTES)
    if dots:
        if step in _TAKEN or step.startswith("dovecot"):
            step = "_" + step
        if step.endswith(".lock"):
            # The dotlock of another mbox: nobody could deliver there any more.
            step = step[:-5] + "_lock"
    return step


def _cut(step: str, most_bytes: int) -> str:
    """The beginning of STEP that takes at most MOST_BYTES on disk."""
    step = step[:most_bytes]
    while (over := len(encode_name(step)) - most_bytes) > 0:
        # A character takes at most 8 bytes encoded: never too much goes.
        step = step[: -max(1, over // 8)]
    return step


def maildirpp_name(steps: Sequence[str]) -> str:
    """Directory of a Maildir++ folder, such as `.Lists.postfix`; STEPS are safe already."""
    name = "." + ".".join([encode_name(step) for step in steps])
    if len(name) > NAME_BYTES:
        share = max(1, (NAME_BYTES - len(steps)) // len(steps))
        name = "." + ".".join([encode_name(_cut(step, share)) for step in steps])
    return name


def encode_name(name: str) -> str:
    """NAME in modified UTF-7 (RFC 3501 5.1.3).

    Printable ASCII stands for itself, "&" is "&-", all else is UTF-16BE in base64 with "," for
    "/" and without padding, between "&" and "-".
    """
    if name.isascii() and name.isprintable():
        return name.replace("&", "&-")
    made: list[str] = []
    start = 0
    while start < len(name):
        plain = " " <= name[start] <= "~"
        end = start
        while end < len(name) and (" " <= name[end] <= "~") == plain:
            end += 1
        run = name[start:end]
        start = end
        if plain:
            made.append(run.replace("&", "&-"))
        else:
            octets = run.encode("utf-16-be", "surrogatepass")
            coded = b2a_base64(octets, newline=False).rstrip(b"=").replace(b"/", b",")
            made.append(f"&{coded.decode()}-")
    return "".join(made)


def decode_name(name: str) -> str:
    """What `encode_name` encoded; a name that is no modified UTF-7 stays as it is."""
    made: list[str] = []
    rest = name
    while "&" in rest:
        plain, _, rest = rest.partition("&")
        coded, dash, rest = rest.partition("-")
        made.append(plain)
        if not dash:
            return name
        if not coded:
            made.append("&")
            continue
        try:
            octets = coded.replace(",", "/").encode() + b"=" * (-len(coded) % 4)
            made.append(a2b_base64(octets, strict_mode=True).decode("utf-16-be"))
        except ValueError:
            return name
    made.append(rest)
    return "".join(made)
