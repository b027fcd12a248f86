"""Change header fields of a message without touching any other octet of it.

set      the field stands in the place of the first of its name; further ones of that name go
add      the field is put at the end of the header; in a head that is longer than what is read of
         it, at the beginning
remove   all fields of that name go, their folded lines with them
prepend  the field is put above the first Received, or at the beginning; folded after each `; `
drop     of the fields of that name those go whose numbers, from the top, are said
         A field that the limit of what is read cuts in two stays as it is.
Text     what is not ASCII, or looks encoded, becomes RFC 2047 encoded words; line ends and other
         control characters become a space: a text that came from a message can add no field of its
         own. limits.HEADER_TEXT bounds it.
Fails with  nothing: the checker has seen to the names.
See also    RFC 5322 2.1-2.2; actions/headers.py, deliver/contents.py
"""

from __future__ import annotations

from mdeliver import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mdeliver.letter import Letter
    from mdeliver.plan import Edit

_FOLD = (b" ", b"\t")

_OF_THIS_DELIVERY = (b"return-path", b"x-original-to", b"delivered-to")
"""What local(8) writes above everything else (postconf(5), prepend_delivered_header)."""

# RFC 5322 2.1.1: a line has 998 characters at most.
_LINE_CHARACTERS = 900


def edited_head(head: bytes, edits: Iterable[Edit], *, cut: bool) -> bytes:
    """HEAD (as message.Message has it) with EDITS done in their order.

    cut  whether the head goes on after what is here
    """
    end = b"\r\n" if b"\r\n" in head[:1000] else b"\n"
    # What is here of a field that is cut cannot go without the rest, which would be a field, or the
    # end of the head, of its own.
    at = _last_field(head) if cut else _closing(head)
    fields, closing = head[:at], head[at:]
    for edit in edits:
        fields = _edited(fields, edit, end, cut)
    # A message that was all header needs an end of it no more than before.
    return fields + closing


def _edited(fields: bytes, edit: Edit, end: bytes, cut: bool) -> bytes:
    """FIELDS with EDIT done; END is how their lines end."""
    if edit.deed == "prepend":
        place = max(0, _without(fields, "Received")[1])
        while fields.startswith(_FOLD, place):
            # A fold of no field would become one of ours.
            if b"\n" not in fields[place:]:
                fields += end
            place = fields.index(b"\n", place) + 1
        line = f"{edit.name}: {header_text(edit.text)}".replace("; ", ";\n\t")
        return fields[:place] + line.encode().replace(b"\n", end) + end + fields[place:]
    if edit.deed == "drop":
        return _without(fields, edit.name, {int(number) for number in edit.text.split(",")})[0]
    kept, place = (fields, -1) if edit.deed == "add" else _without(fields, edit.name)
    if edit.deed != "remove":
        if place < 0 and cut:
            place = 0
        elif place < 0:
            kept += b"" if not kept or kept.endswith(b"\n") else end
            place = len(kept)
        kept = kept[:place] + field_line(edit.name, edit.text, end) + kept[place:]
    return kept


def edited_letter(letter: Letter, edits: tuple[Edit, ...]) -> Letter:
    """LETTER with EDITS done to its header; it shares the spool of the one it is made from."""
    if not edits:
        return letter
    return with_head(letter, edited_head(letter.head, edits, cut=letter.head_cut))


def with_head(letter: Letter, head: bytes) -> Letter:
    """LETTER with HEAD in the place of its own; it shares the spool of the one it is made from."""
    size = letter.size - len(letter.head) + len(head)
    if letter.memory is not None:
        memory = head + letter.memory[len(letter.head) :]
        return letter.replace(head=head, size=size, memory=memory)
    read = letter.body_at or len(letter.head)
    return letter.replace(head=head, size=size, front=head, body_at=read, mbox_end=b"")


def passed_on(letter: Letter, name: str, text: str) -> Letter:
    """LETTER as another host gets it from us: with the field NAME above all others.

    What local(8) wrote there for the delivery to this user is that delivery's alone: Return-Path
    is what the last delivery writes (RFC 5321 4.4), and by its own Delivered-To Postfix would take
    a message that comes back for a loop and bounce it.
    """
    lines = _lines(letter.head)
    end = b"\r\n" if b"\r\n" in letter.head[:1000] else b"\n"
    own = 0
    while own < len(lines) and (
        lines[own].partition(b":")[0].lower() in _OF_THIS_DELIVERY
        or (own and lines[own].startswith(_FOLD))
    ):
        own += 1
    return with_head(letter, field_line(name, text, end) + b"".join(lines[own:]))


def header_text(text: str) -> str:
    """TEXT as a field can hold it: one line, nothing but what is printed, of bounded length."""
    text = text[: limits.HEADER_TEXT]
    return "".join([c if c.isprintable() else " " for c in text]).strip()


def field_line(name: str, text: str, end: bytes = b"\n") -> bytes:
    """The field NAME with the value TEXT, folded where encoded words ask for it."""
    plain = header_text(text)
    is_plain = plain.isascii() and "=?" not in plain
    if is_plain and len(plain) <= _LINE_CHARACTERS:
        return f"{name}: {plain}".encode() + end
    from email.header import Header

    charset, width = ("us-ascii", _LINE_CHARACTERS) if is_plain else ("utf-8", 76)
    folded = Header(plain, charset, header_name=name, maxlinelen=width).encode(linesep="\n")
    return f"{name}: {folded}".encode().replace(b"\n", end) + end


def _lines(head: bytes) -> list[bytes]:
    """The lines of HEAD with their ends; a CR alone ends none."""
    pieces = head.split(b"\n")
    last = pieces.pop()
    return [piece + b"\n" for piece in pieces] + ([last] if last else [])


def _closing(head: bytes) -> int:
    """Where the empty line at the end of HEAD begins; its length where there is none."""
    at = head.rfind(b"\n", 0, max(0, len(head) - 1)) + 1
    return at if not head[at:].strip(b"\r\n") else len(head)


def _last_field(head: bytes) -> int:
    """Where the last field of HEAD begins."""
    at = head.rfind(b"\n", 0, max(0, len(head) - 1)) + 1
    while at > 0 and head.startswith(_FOLD, at):
        at = head.rfind(b"\n", 0, at - 1) + 1
    return at


def _without(fields: bytes, name: str, numbers: Collection[int] | None = None) -> tuple[bytes, int]:
    """FIELDS without those called NAME, and where the first of them stood, or -1.

    numbers  which of them, from 1; None for all
    Looks at no line that does not begin like them: a head may have half a million.
    """
    wanted = b"\n" + name.lower().encode("utf-8", "replace")
    # The same places as in FIELDS, a line end before the first one.
    lines = b"\n" + fields.lower()
    kept: list[bytes] = []
    first, copied, number = -1, 0, 0
    start = lines.find(wanted)
    while start >= 0:
        end = fields.find(b"\n", start) + 1 or len(fields)
        label, colon, _value = fields[start:end].partition(b":")
        if colon and len(label.rstrip(b" \t")) == len(name):
            while fields.startswith(_FOLD, end):
                end = fields.find(b"\n", end) + 1 or len(fields)
            first = start if first < 0 else first
            number += 1
            if numbers is None or number in numbers:
                kept.append(fields[copied:start])
                copied = end
        start = lines.find(wanted, end)
    kept.append(fields[copied:])
    return b"".join(kept), first
