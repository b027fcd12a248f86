"""Expressions about how a message is packed, where rules compare what is decoded.

Encoded words  in a header: the character set that they name becomes the script that it is for.
Parts          their names are `attachment`; what else stands in their heads, quoted-printable and
               HTML is looked for line by line in the body as it came, by sed(1).
Fails with     Unsayable
See also       linetext.py
"""

from __future__ import annotations

import re

from mdeliver.procmail.linetext import body_has
from mdeliver.procmail.pattern import Sequence, parse_pattern
from mdeliver.procmail.values import Core, test_of
from mdeliver.procmail.wording import Test, Unsayable, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node
    from mdeliver.procmail.wording import Expr

_ENCODED = re.compile(r"=(?:\\\?|\[\?\])")

_RAW = re.compile(
    r"content-(?:type|disposition|transfer-encoding|id)|name=|boundary=|=[0-9a-f]{2}=[0-9a-f]{2}|"
    r"</?(?:html|head|body|table|font|iframe|script|object|img|a\b)",
    re.IGNORECASE,
)
"""Of the parts' own heads, quoted-printable and HTML, which a decoded body does not have."""

_CHARACTER_SET = re.compile(
    r"\^(?P<names>[\w-]+|\([\w|-]+\)):[^=]*=(?:\\\?|\[\?\])(?P<sets>\([^()]+\)|[\w.*?\\-]+?)"
    r"(?:(?:\\\?|\[\?\]).*)?"
)
"""`^Subject:.*=\\?(koi8-r|gb2312)\\?`"""

_SCRIPTS = (
    ("koi8", "Cyrillic"),
    ("windows1251", "Cyrillic"),
    ("cp1251", "Cyrillic"),
    ("iso88595", "Cyrillic"),
    ("gb", "Han"),
    ("big5", "Han"),
    ("hz", "Han"),
    ("euckr", "Hangul"),
    ("ksc", "Hangul"),
    ("iso2022kr", "Hangul"),
    ("iso2022jp", "Hiragana Katakana"),
    ("shiftjis", "Hiragana Katakana"),
    ("eucjp", "Hiragana Katakana"),
    ("windows1255", "Hebrew"),
    ("iso88598", "Hebrew"),
    ("windows1256", "Arabic"),
    ("iso88596", "Arabic"),
    ("windows1253", "Greek"),
    ("iso88597", "Greek"),
    ("tis620", "Thai"),
    ("windows874", "Thai"),
)
"""What the names of character sets begin with, and the scripts that they are for."""

_FILE_NAME = re.compile(
    r"\^?(?:\\<)?(?:content-(?:type|disposition|\(type\|disposition\)|\(disposition\|type\)):?\.\*)?"
    r"(?:file|\(file\)\??)?name=(?P<name>.+)",
    re.IGNORECASE,
)
_OPENING = re.compile(r'(?:\\?"[?*]?)')
_CLOSING = re.compile(r'(?P<sure>\\?")?(?P<may>\\?"\?)?(?P<end>\$)?$')


def asks_for_encoded_words(text: str) -> bool:
    """Whether TEXT looks for encoded words, which no decoded header has."""
    return bool(_ENCODED.search(text))


def encoded_condition(text: str) -> Expr:
    """TEXT as a test for the script of what its character sets encode."""
    found = _CHARACTER_SET.fullmatch(text)
    if found is None:
        raise Unsayable("it asks for an encoded word, and headers are compared decoded")
    scripts: list[str] = []
    for name in found["sets"].strip("()").split("|"):
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        known = next((script for begin, script in _SCRIPTS if plain.startswith(begin)), "")
        if not known:
            raise Unsayable(f"an encoded word in {name}, which is for no script of its own")
        scripts += known.split()
    names = found["names"].strip("()").split("|")
    fields = "subject" if [n.lower() for n in names] == ["subject"] else ""
    fields = fields or f"header {', '.join([quote(name) for name in names])}"
    listed = "".join([f"\\p{{{script}}}" for script in dict.fromkeys(scripts)])
    return Test(fields, "matches", (f"/[{listed}]/",))


def asks_how_it_is_packed(text: str) -> bool:
    """Whether TEXT looks in a body for what is not in a decoded one."""
    return bool(_RAW.search(text.replace("\\", "")))


def packed_condition(text: str, exactly: bool) -> tuple[Expr, str]:
    """TEXT as a test, and what of it is not quite the same."""
    if found := _FILE_NAME.fullmatch(text):
        return _named(found["name"], exactly), "it asks for the names of attachments, decoded"
    why = "rules compare bodies decoded: sed(1) looks at the body as it came, line by line"
    return body_has(text, exactly), why


def _named(text: str, exactly: bool) -> Expr:
    """The name of an attachment; the quotes around it are no part of it."""
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
        starts = not opening[0].endswith("*")
    else:
        starts = False
    closing = _CLOSING.search(text)
    ends = closing is not None and bool(closing["sure"] or (closing["end"] and closing["may"]))
    text = text[: closing.start()] if closing is not None else text
    tree = parse_pattern(text)
    if tree.invalid:
        raise Unsayable(f"an expression that is not valid: {tree.invalid}")
    items: list[Node] = [tree.node]
    if isinstance(tree.node, Sequence):
        items = list(tree.node.items)
    core = Core(items, starts=starts, ends=ends, exactly=exactly)
    return test_of("attachment", core)
