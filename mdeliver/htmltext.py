"""HTML as people see it: without tags, comments, scripts and styles, entities decoded.

Guarantee   never raises, linear time, no more than limits.HTML_TAGS tags and entities.
Lines       a tag of a block begins a new one; all other white space is a space.
Inline      tags vanish: `V<b>iag</b>ra` reads as people read it.
Hidden      text (white on white, size 0) is text: what is hidden from people, rules may see.
See also    html.parser, which imports re and takes quadratic time on some input (CVE-2025-6069)
"""

from __future__ import annotations

from mdeliver import limits

_INLINE = frozenset(
    """a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark meta
    o:p q s samp script small span strike strong style sub sup template time tt u var wbr""".split()
)
_UNSEEN = ("script", "style", "title", "template")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_ENTITY_CHARACTERS = 32


def text_of_html(html: str) -> str:
    """The text of HTML, a line for each block."""
    html = html.replace("\n", " ").replace("\0", "")
    lowered = html.lower() if html.isascii() else None
    seen: list[str] = []
    at = 0
    for _ in range(limits.HTML_TAGS):
        start = html.find("<", at)
        if start < 0:
            break
        seen.append(html[at:start])
        if html.startswith("<!--", start):
            end = html.find("-->", start + 4)
            at = len(html) if end < 0 else end + 3
            continue
        if not (
            html[start + 1 : start + 2].isalpha() or html[start + 1 : start + 2] in ("/", "!", "?")
        ):
            seen.append("<")
            at = start + 1
            continue
        end = html.find(">", start)
        if end < 0:
            at = len(html)
            break
        words = html[start + 1 : min(end, start + 40)].lower().split(None, 1)
        name = words[0].rstrip("/") if words else ""
        at = end + 1
        if name in _UNSEEN and html[end - 1] != "/":
            if lowered is None:
                from mdeliver.glob import fold

                lowered = fold(html)
            close = lowered.find(f"</{name}", at)
            at = len(html) if close < 0 else close
        elif name.lstrip("/") not in _INLINE:
            seen.append("\n")
    else:
        html = html[:at]
    seen.append(html[at:])
    text = "".join(seen)
    if "&" in text:
        text = _without_entities(text)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return "\n".join([line for line in lines if line])


def _without_entities(text: str) -> str:
    first, *rest = text.split("&", limits.HTML_TAGS)
    pieces = [first]
    for piece in rest:
        end = piece.find(";", 0, _ENTITY_CHARACTERS)
        character = _character(piece[:end]) if end > 0 else ""
        # What is no entity stands as it is.
        pieces.append(character + piece[end + 1 :] if character else "&" + piece)
    return "".join(pieces)


def _character(name: str) -> str:
    """What the entity &NAME; is; "" if it is none."""
    if name in _ENTITIES:
        return _ENTITIES[name]
    if name.startswith("#"):
        digits = name[1:]
        try:
            number = int(digits[1:], 16) if digits[:1] in ("x", "X") else int(digits)
        except ValueError:
            return ""
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
    if not name.isalnum():
        return ""
    # Brings re: only for a name that is rare in mail.
    from html.entities import html5

    return html5.get(name + ";", "")
