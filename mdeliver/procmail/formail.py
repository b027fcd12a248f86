"""What formail(1) does in the ways in which procmailrc files use it.

As a filter    -A add, -a add if there is none, -I replace or remove, -i replace and keep the old
               ones as Old-…; several of them; -f -b -q and -k change nothing here.
               -R gives a field another name.
As a question  -x a field's text (-z without white space at its ends, -c folds joined); -D whether
               a Message-ID was seen before; -rxTo: whom an answer would go to.
Not here       -r (replies), -u, -U, -X, splitting: whoever asks for them gets None.
"""

from __future__ import annotations

import re

from mdeliver.record import Record

NUMBER = re.compile("[0-9]{1,18}")
"""A number that a file may say; what is longer, or in other digits, is none."""

_NAME = re.compile(r"[!-9;-~]+")
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]+[ \t]*:")


class Change(Record):
    """One header change: `sign` is A, a, I or i; `name` ends in a colon."""

    sign: str
    name: str
    text: str


class Filter(Record):
    """formail as a filter; `renames` are pairs of names with their colons."""

    changes: tuple[Change, ...]
    renames: tuple[tuple[str, str], ...] = ()

    @property
    def makes_from_line(self) -> bool:
        """Whether it takes the From_ line away, and so makes one of its own."""
        return any(c.name == "From " and c.sign in "Ii" for c in self.changes)


class Extract(Record):
    """formail -x: the fields' names with their colons."""

    names: tuple[str, ...]
    strips: bool
    joins: bool


class Duplicates(Record):
    """formail -D: the largest size of its file, and that file."""

    size: int
    cache: str


class Answered(Record):
    """formail -rxTo: the address that an answer would go to.

    trusts  -t: Reply-To, else From; without it the envelope sender
    strips  -z: without the space before it
    """

    trusts: bool
    strips: bool


class Reply(Record):
    """formail -r, with the changes to the reply's head; `duplicates` where -D is with it."""

    changes: tuple[Change, ...]
    duplicates: Duplicates | None


Asked = Filter | Extract | Duplicates | Answered | Reply


def read_arguments(argv: list[str]) -> Asked | None:
    """What `formail ARGV` (without its own name) is, None where it is none of these."""
    changes: list[Change] = []
    renames: list[tuple[str, str]] = []
    names: list[str] = []
    seen: set[str] = set()
    duplicates: Duplicates | None = None
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            return None
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "AaIix":
                value = letters or (rest.pop(0) if rest else "")
                letters = ""
                name, colon, text = value.partition(":")
                if name and not colon and letter in "Iix" and _NAME.fullmatch(name):
                    colon = ":"
                if not name or (not colon and name != "From "):
                    return None
                if letter == "x":
                    names.append(name + ":")
                else:
                    changes.append(Change(letter, name + colon, text))
            elif letter == "R":
                old = letters or (rest.pop(0) if rest else "")
                letters = ""
                new = rest.pop(0) if rest else ""
                if not (old.endswith(":") and new.endswith(":") and len(old) > 1 < len(new)):
                    return None
                renames.append((old, new))
            elif letter == "D":
                size = letters or (rest.pop(0) if rest else "")
                letters = ""
                if not NUMBER.fullmatch(size) or not rest:
                    return None
                duplicates = Duplicates(int(size), rest.pop(0))
            elif letter in "fbqkzctr-":
                seen.add(letter)
            else:
                return None
    return _what_is_asked(Filter(tuple(changes), tuple(renames)), names, seen, duplicates)


def _what_is_asked(
    wanted: Filter, names: list[str], seen: set[str], duplicates: Duplicates | None
) -> Asked | None:
    changes = bool(wanted.changes or wanted.renames)
    if "r" in seen:
        if names:
            to_alone = [name.lower() for name in names] == ["to:"]
            asked = Answered("t" in seen, "z" in seen)
            return asked if to_alone and not changes and not duplicates else None
        return None if wanted.renames else Reply(wanted.changes, duplicates)
    if duplicates is not None:
        return None if changes or names else duplicates
    if names:
        return None if changes else Extract(tuple(names), "z" in seen, "c" in seen)
    return wanted if changes else None


def split_fields(head: bytes) -> tuple[list[bytes], bytes]:
    """The fields of HEAD with their folds, and what follows the last of them."""
    fields: list[bytes] = []
    at = 0
    while at < len(head):
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end + 1
        line = head[at:end]
        if fields and ((line[:1] in b" \t" and line != b"\n") or _goes_on(fields[-1], line)):
            fields[-1] += line
        elif _FIELD.match(line) or (not fields and line.startswith(b"From ")):
            fields.append(line)
        else:
            break
        at = end
    return fields, head[at:]


def _goes_on(field: bytes, line: bytes) -> bool:
    return field.startswith(b"From ") and line.startswith(b">From ")


def _is_called(field: bytes, name: str) -> bool:
    """Whether FIELD is called NAME; white space before its colon does not count."""
    wanted = name.encode("latin-1").lower()
    if wanted.endswith(b":"):
        label = field.partition(b":")[0].rstrip(b" \t").lower()
        return label == wanted[:-1].rstrip(b" \t") and not field.startswith(b"From ")
    return field.lower().startswith(wanted)


def filtered(octets: bytes, wanted: Filter) -> bytes:
    """OCTETS, a message or its head, as `formail` prints them with the changes WANTED.

    The From_ line stays, though formail would make another one for now: nobody compares it.
    """
    end = octets.find(b"\n\n")
    head, rest = (octets, b"") if end < 0 else (octets[: end + 1], octets[end + 1 :])
    fields, others = split_fields(head)
    changes = [change for change in wanted.changes if change.name != "From "]
    by_sign = {sign: [c for c in changes if c.sign == sign] for sign in "AaIi"}
    missing = [c for c in by_sign["a"] if not any(_is_called(f, c.name) for f in fields)]
    kept = []
    for field in fields:
        renamed = next((new for old, new in wanted.renames if _is_called(field, old)), "")
        if any(_is_called(field, c.name) for c in by_sign["i"]):
            kept.append(b"Old-" + field)
        elif renamed:
            kept.append(renamed.encode("latin-1") + field.partition(b":")[2])
        elif not any(_is_called(field, c.name) for c in by_sign["I"]):
            kept.append(field)
    added = [_written(c) for c in (*missing, *by_sign["A"])]
    added += [_written(c) for c in (*by_sign["i"], *by_sign["I"]) if c.text.strip(" \t")]
    return b"".join([*kept, *added]) + others + rest


def _written(change: Change) -> bytes:
    return f"{change.name}{change.text}\n".encode("latin-1")


def extracted(octets: bytes, wanted: Extract) -> bytes:
    """What `formail -x` prints of OCTETS."""
    end = octets.find(b"\n\n")
    fields, _ = split_fields(octets if end < 0 else octets[: end + 1])
    made = []
    for field in fields:
        if not any(_is_called(field, name) for name in wanted.names):
            continue
        text = field.partition(b":")[2]
        if wanted.joins:
            text = re.sub(rb"\n(?=[ \t])", b" ", text)
        if wanted.strips:
            text = text.strip(b" \t\n") + b"\n"
        made.append(text)
    return b"".join(made)


_ADDRESS = re.compile(
    r"""[ \t]*(?:
        (?:"[^"\\]*"|[^<>,()"\\])*<([^<>,()\s"]+@[^<>,()\s"]+)>      # Ann B. <ann@example.org>
        |([^<>,()\s"]+)(?:[ \t]*\([^()\\]*\))?                        # ann@example.org (Ann)
    )[ \t]*\n?""",
    re.VERBOSE,
)


def answered(octets: bytes, wanted: Answered) -> str | None:
    """Whom `formail -r` would answer; None where that hangs on how it reads an odd address."""
    end = octets.find(b"\n\n")
    fields, _ = split_fields(octets if end < 0 else octets[: end + 1])
    if wanted.trusts:
        for name in ("Reply-To:", "From:"):
            for field in fields:
                if _is_called(field, name):
                    text = field.partition(b":")[2].decode("latin-1")
                    found = _ADDRESS.fullmatch(text)
                    return (found[1] or found[2]) if found else None
    sender = fields[0].split(b" ")[1] if fields and fields[0].startswith(b"From ") else b""
    return sender.decode("latin-1") or None


def message_id(octets: bytes) -> str:
    """The Message-ID that `formail -D` goes by, "" where there is none."""
    end = octets.find(b"\n\n")
    fields, _ = split_fields(octets if end < 0 else octets[: end + 1])
    for field in fields:
        if _is_called(field, "Message-ID:"):
            text = field.partition(b":")[2].strip(b" ").removesuffix(b"\n")
            return text.decode("latin-1")
    return ""
