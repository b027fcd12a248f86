"""What was probably meant: everything that the language says only after a mistake.

Imports     nothing heavy; imported by the lexer, parser and checker at the first mistake, so
            that a delivery by sound rules never pays for it.
See also    findings.py for what each code means
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.language.lexer import Token

RESERVED = (
    "and", "or", "not", "if", "elif", "else", "is", "to", "as", "exactly", "lines", "inbox",
    "maildir", "mbox", "me",
)  # fmt: skip
ACTIONS = (
    "file", "keep", "forward", "pipe", "discard", "reject", "defer", "mark", "set", "add",
    "remove", "filter", "run", "reply", "log",
)  # fmt: skip
STATEMENTS = (*ACTIONS, "also", "let", "if", "mailbox", "inbox", "me", "include")
FIELDS = (
    "subject", "from", "to", "cc", "reply-to", "list-id", "sender", "recipient", "recipients",
    "extension", "header", "any", "body", "attachment", "size", "date", "weekday", "time",
)  # fmt: skip
FACTS = (
    "sent", "addressed", "duplicate", "automatic", "mailing", "program", "spf", "dkim", "dmarc",
    "arc",
)  # fmt: skip
OPERATORS = ("is", "contains", "starts", "ends", "matches", "exists", "does")
FLAGS = ("seen", "flagged", "answered", "draft")

_OPENING = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb\u2039\u203a'`"
_FOREIGN = {
    "==": (("is",), "write is"),
    "!=": (("is", "not"), "write is not"),
    "<>": (("is", "not"), "write is not"),
    "=~": (("matches",), "write matches"),
    "=>": ((), "write >="),
    "=<": ((), "write <="),
    "&&": (("and",), "write and"),
    "||": (("or",), "write or"),
    "!": (("not",), "write not"),
    "&": (("and",), "write and"),
    "|": ((), "write or between tests; programs are named with pipe to"),
}
_SINGLE = {
    ";": "a statement ends with its line",
    "\\": "a line goes on after a comma, after and, or, not, and inside parentheses",
    "{": "a block is indented, without braces",
    "}": "a block is indented, without braces",
    "#": "a comment needs a space before its #",
    "*": 'quote the text: matches "*"',
    "~": 'quote the path: "~/Maildir"',
    "@": "quote the address",
    "$": 'a text takes in a value with braces: "{user}"',
    "\ufeff": "a byte order mark belongs at the start of a file or nowhere",
}
_OTHER_WORDS = {
    "read": "seen",
    "starred": "flagged",
    "important": "flagged",
    "replied": "answered",
    "elseif": "elif",
    "elsif": "elif",
    "move": "file to",
    "fileinto": "file to",
    "copy": "also file to",
    "deliver": "file to",
    "save": "file to",
    "redirect": "forward to",
    "send": "forward to",
    "bounce": "reject",
    "delete": "discard",
    "drop": "discard",
    "trash": "discard",
    "stop": "keep",
    "vacation": "reply with",
    "flag": "mark",
    "tag": "mark",
    "equals": "is",
    "are": "is",
    "has": "contains",
    "includes": "contains",
    "like": "matches",
    "begins": "starts with",
    "title": "subject",
    "addressee": "recipients",
    "lists": "list-id",
    "list": "list-id",
    "larger": "size >",
    "smaller": "size <",
    "extend": "include",
    "folder": "mailbox",
    "var": "let",
    "def": "let",
    "when": "if",
    "unless": "if not",
    "day": "weekday",
}
_COMPARED = {
    **dict.fromkeys(("after", "larger", "greater", "bigger", "more", "over", "above"), "write >"),
    **dict.fromkeys(("before", "smaller", "less", "under", "below"), "write <"),
    "between": "write is … to …",
}


class Meant(Record):
    """A stray character: the finding, where it ends, and what to read in its place."""

    code: str
    message: str
    hint: str
    end: int
    words: tuple[str, ...] = ()
    text: str | None = None


def strange(line: str, i: int) -> Meant:
    """What the character at index I of LINE, which begins no token, was meant to be."""
    c = line[i]
    if c in _OPENING:
        return _foreign_quotes(line, i)
    for length in (2, 1):
        foreign = line[i : i + length]
        if foreign in _FOREIGN:
            words, hint = _FOREIGN[foreign]
            message = f"{foreign} is no word of this language"
            return Meant("E113", message, hint, i + length, words)
    if c.isspace():
        hint = "replace it with a space"
        return Meant("E101", f"unexpected white space U+{ord(c):04X}", hint, i + 1)
    shown = c if c.isprintable() else f"U+{ord(c):04X}"
    if c in "~@*$":
        # The rest of an unquoted path, address or glob is one mistake, not many.
        end = i
        while end < len(line) and line[end] not in ' \t":,()':
            end += 1
        return Meant("E101", f"unexpected character {c}", _SINGLE[c], end, (), line[i:end])
    hint = _SINGLE.get(c, "quote it if it belongs to a text")
    return Meant("E101", f"unexpected character {shown}", hint, i + 1)


def _foreign_quotes(line: str, i: int) -> Meant:
    """Read a text in curly or single quotes as if it stood in straight ones."""
    end = i + 1
    while end < len(line) and line[end] not in _OPENING and line[end] != '"':
        end += 1
    closed = end < len(line)
    text = line[i + 1 : end]
    message = f'texts stand between straight double quotes ", not {line[i]}'
    hint = f'write "{text}"' if closed and '"' not in text else 'write "'
    return Meant("E105", message, hint, min(end + 1, len(line)), (), text)


def number(kind: str, written: str) -> tuple[str, str, str]:
    """Code, message and hint for digits that are no number, quantity, time or day."""
    if kind == "clock":
        return "E111", f"{written} is no time of day", "write it as 22:00, from 0:00 to 23:59"
    if kind == "date":
        return "E112", f"{written} is no day", "write it as 2026-08-01"
    digits = written.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
    unit = written[len(digits) :]
    meant = {"k": "K", "b": "", "M": "M", "mb": "M", "kb": "K", "gb": "G", "g": "G", "ki": "K"}
    meant |= {"mi": "M", "kib": "K", "mib": "M", "gib": "G", "d": "d", "h": "h", "w": "w", "s": "s"}
    meant |= {"day": "d", "days": "d", "hour": "h", "hours": "h", "week": "w", "weeks": "w"}
    meant |= {"min": "m", "mins": "m", "minutes": "m", "sec": "s", "secs": "s", "bytes": ""}
    hint = "sizes are K, M or G, times s, m, h, d or w: 20M, 7d"
    if unit.lower() in meant:
        hint = f"write {digits}{meant[unit.lower()]}; " + hint
    elif not unit or "-" in written[1:] or "_" in written:
        hint = "a name begins with a letter; a text stands in quotes"
    return "E110", f"{written} has no unit that is known", hint


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of KNOWN that WORD was probably meant to be, else ""."""
    if word in _OTHER_WORDS and (_OTHER_WORDS[word].split()[0] in known):
        return _OTHER_WORDS[word]
    if len(word) > 40:
        return ""
    best, fewest = "", 3
    for candidate in known:
        if word.lower() == candidate.lower():
            return candidate
        edits = _distance(word, candidate)
        if len(word) < 6 and edits == 2 and word[:3] != candidate[:3]:
            continue
        if edits < fewest and edits < max(len(word), len(candidate)) - 1:
            best, fewest = candidate, edits
    return best


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown WORD, or ""."""
    found = nearest(word, tuple(known))
    return f"did you mean {found}?" if found else ""


def _distance(a: str, b: str) -> int:
    """Edits from A to B: insert, delete, replace, swap of neighbours."""
    if abs(len(a) - len(b)) > 3:
        return 9
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


def describe(token: Token) -> str:
    """A token in words, for "expected …, found …"."""
    kind, value = token[0], token[1]
    if kind == "nl":
        return "the end of the line"
    if kind == "end":
        return "the end of the file"
    if kind in ("indent", "dedent"):
        return "a change of indentation"
    if kind == "str":
        shown = "".join(p if isinstance(p, str) else f"{{{p.name}}}" for p in value.parts)
        return f'the text "{shown if len(shown) < 40 else shown[:37] + "..."}"'
    if kind == "path":
        return f"the folder {value[0]}/…"
    if kind == "regex":
        return "a regex"
    if kind in ("num", "quant", "clock", "date"):
        return {"num": "a number", "quant": "a quantity", "clock": "a time", "date": "a date"}[kind]
    return value if kind == "id" else f'"{value}"'


def expected(what: str, token: Token) -> str:
    """The usual message."""
    return f"expected {what}, found {describe(token)}"


# --- syntax ----------------------------------------------------------------------------------


def statement(token: Token, following: Token) -> str:
    """A hint for a line that begins with TOKEN, which begins no statement."""
    kind, value = token[0], token[1]
    if kind == "path" or (kind == "id" and following[0] in ("path", "nl") and value == "to"):
        return "write file to before a folder"
    if kind == "id" and following[0] == "=":
        return f"write let {value} = … for a name, mailbox {value} = … for a place"
    if kind == "id" and value in (*FIELDS, *FACTS):
        return "a test stands after if"
    if kind == "id" and value in ("end", "endif", "fi", "done"):
        return "a block ends where its indentation does"
    if kind == "id":
        return did_you_mean(value, (*STATEMENTS, "elif"))
    return "a line begins with if, with an action such as file to, or with a definition"


def one_more(tokens: list[Token], at: int) -> str:
    """A hint for the text or folder AT, where the statement was at its end."""
    if tokens[at][0] == "str" and tokens[at - 2][:2] == ("id", "header"):
        return 'name and text are one text: "Name: text"'
    return "a comma stands between several"


def operator(token: Token, following: Token) -> str:
    """A hint for TOKEN where an operator was expected."""
    kind, value = token[0], token[1]
    if kind == "=":
        return "write is to compare"
    if kind == "path" and value[0] in OPERATORS:
        return "put a space before the / of a regex"
    if kind == "id" and value in ("contain", "match", "exist", "start", "end"):
        return {"start": "write starts with", "end": "write ends with"}.get(
            value, f"write {value}s" if value != "match" else "write matches"
        )
    if kind == "id" and value in ("doesn", "isn"):
        return "write does not or is not"
    if kind == "id" and value in _COMPARED:
        return _COMPARED[value]
    if kind == "id":
        return did_you_mean(value, OPERATORS) or (
            "write is" if following[0] in ("str", "id") and value == "equal" else ""
        )
    if kind in ("str", "regex"):
        return "write is, contains or matches before a value"
    return ""


def negated(word: str) -> str:
    """A hint for `not OPERATOR`."""
    plain = {"starts": "start with", "ends": "end with", "matches": "match"}
    if word not in ("contains", "contain", "exists", "exist", "match", *plain):
        return "write is not"
    return f"write does not {plain.get(word, word.rstrip('s'))}"


def value(token: Token) -> str:
    """A hint for TOKEN where a value was expected."""
    if token[0] == "path":
        return "a text with / in it stands in quotes; a regex needs a space before its /"
    if token[0] == "id" and token[1] in RESERVED:
        return f"{token[1]} cannot be a name; quote it if it is a text"
    if token[0] in ("nl", ":"):
        return "a text stands in quotes"
    return ""


def after_test(tokens: list[Token], at: int) -> str:
    """A hint for the token AT, which stands after a whole test and does not go on with one."""
    kind, value = tokens[at][:2]
    before = tokens[at - 1]
    if kind == "id" and before[:2] == ("id", "in"):
        return f"write is {value}: it holds for any of its values"
    if kind == "id" and value == "than" and before[0] == "id":
        return f"{_COMPARED.get(before[1], 'write >')} in place of is {before[1]} than"
    if kind == "id" and before[0] == "num" and len(value) == 1:
        return f"write {before[1].digits}{value} without a space"
    if kind == "id" and value == "to":
        return "a range stands after is: is 5 to 7"
    if kind in ("str", "regex"):
        return "a comma stands between values"
    if kind == "id" and (value in (*FIELDS, *FACTS) or tokens[at - 2][0] == ","):
        return "and or or stands between two tests; a comma only between values"
    if kind == ")":
        return "no parenthesis is open here"
    return ""
