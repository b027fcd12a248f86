"""What a rule can see at one moment: the message, its envelope, and the names set so far.

Holds       names of mailboxes, `inbox` and `me` (all three looked up when they are used, so that
            a later definition shadows an earlier one), `let`s (evaluated on their line), and the
            captures of the last `matches` that held.
Texts       of fields, whole and folded, read once; braces filled in.
Pieces      a text that a brace brought in is a Filled: globs take it literally, paths make it safe.
"""

from __future__ import annotations

import time

from mdeliver import limits
from mdeliver.glob import fold
from mdeliver.language.syntax import Brace, Lines, Me, Name, Number, Quantity, Range, Text
from mdeliver.plan import AS_IT_CAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set
    from typing import TypeAlias

    from mdeliver.addresses import Address
    from mdeliver.conditions.authenticated import Known
    from mdeliver.conditions.tables import Table
    from mdeliver.envelope import Envelope
    from mdeliver.language.syntax import Field, Quantity, Store, Target, Value
    from mdeliver.letter import Letter
    from mdeliver.message import Message
    from mdeliver.mime import Body
    from mdeliver.outside import Outside
    from mdeliver.plan import Content, Edit
    from mdeliver.settings import Site

    Texts: TypeAlias = tuple[tuple[str, str], ...]
    """The texts of a field, each as it is and with case folded."""

# procmail's ^TO_, which people have sorted their mail by for thirty years.
RECIPIENT_HEADERS = (
    "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc",
    "original-to", "original-cc", "original-bcc",
    "original-resent-to", "original-resent-cc", "original-resent-bcc",
    "x-envelope-to", "apparently-to", "apparently-resent-to",
)  # fmt: skip


_PERIODS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Filled(str):
    """What a brace was filled with: outside words, never a pattern and never a path."""

    __slots__ = ()


class Scene:
    """Everything that conditions and actions look at; `now_s` is the time of arrival."""

    __slots__ = (
        "_body", "_texts", "add", "authentication", "because", "came", "captures", "content",
        "envelope", "explain", "filtered", "found", "inbox", "lets", "lookups", "mailboxes",
        "marks", "me", "message", "now_s", "outside", "remember", "replies", "ruled_out", "site",
        "tables",
    )  # fmt: skip

    def __init__(
        self,
        message: Message,
        envelope: Envelope,
        site: Site,
        now_s: float,
        explain: bool,
        outside: Outside | None = None,
    ) -> None:
        self.came = message
        """The message as it came."""
        self.message = message
        """The message as rules see it by now: filters and header lines change it."""
        self.envelope = envelope
        self.site = site
        self.now_s = now_s
        self.explain = explain
        self.outside = outside
        """Programs and memory; None where rules are tried without either."""
        self.content: Content = AS_IT_CAME
        """What `message` is by now."""
        self.filtered: list[Letter] = []
        self.marks: tuple[str, ...] = ()
        """Flags that `mark` set for what is filed from now on."""
        self.remember: list[bytes] = []
        self.mailboxes: dict[str, Store] = {}
        self.inbox: tuple[Target, ...] = ()
        self.me: tuple[Value, ...] = ()
        self.lets: dict[str, tuple[Value, ...]] = {}
        self.captures: tuple[str, ...] = ()
        self.tables: tuple[tuple[str, str, str], ...] = ()
        """The files of lines, as Program has them."""
        self.replies: tuple[tuple[str, str, str], ...] = ()
        """The texts in files of replies, as Program has them."""
        self.lookups: dict[tuple[str, str, bool], Table] = {}
        """What conditions/tables.py made of them."""
        self.because = ""
        """What decided the last condition, in words; kept only where `explain` is."""
        self.authentication: Known | None = None
        """What is known of the sender, once it was asked for."""
        self.found: dict[tuple[str, str, str], Set[int]] = {}
        """What conditions/prefilter.py found in the texts of fields."""
        self.ruled_out: set[int] = set()
        """The ids of statements that cannot hold, as far as it has looked."""
        self.add: Callable[[Edit], None] = _unplanned
        """Takes what a condition does to the header into the plan."""
        self._body: Body | None = None
        self._texts: dict[tuple[str, str, str], Texts] = {}

    def change(self, message: Message, content: Content) -> None:
        """From now on the message is MESSAGE, which is CONTENT."""
        self.message = message
        self.content = content
        self._body = None
        self._texts = {}
        self.found = {}
        self.ruled_out = set()

    def edit(self, edit: Edit) -> None:
        """From now on the message is as EDIT makes it; the plan has it."""
        from mdeliver.edits import edited_head

        self.add(edit)
        head = edited_head(self.message.head, (edit,), cut=self.message.cut)
        content = self.content.replace(edits=(*self.content.edits, edit))
        self.change(self.message.with_head(head), content)

    @property
    def body(self) -> Body:
        """The parts of the message, which is read when somebody asks for them."""
        if self._body is None:
            from mdeliver.mime import Body

            self._body = Body(self.message)
        return self._body

    # --- fields ------------------------------------------------------------------------------

    def field_texts(self, field: Field) -> Texts:
        """All texts that FIELD holds, in the order of the message."""
        key = (field.name, field.part, field.header)
        texts = self._texts.get(key)
        if texts is None:
            read = tuple(self._read(*key))
            if len(read) > limits.FIELD_TEXTS:
                words = " ".join(filter(None, key))
                self.message.limit = f"more than {limits.FIELD_TEXTS} texts in {words}"
                read = read[: limits.FIELD_TEXTS]
            texts = self._texts[key] = tuple([(t, fold(t)) for t in read])
        return texts

    def _read(self, name: str, part: str, header: str) -> Iterable[str]:
        message, envelope = self.message, self.envelope
        match name:
            case "subject":
                return message.texts(name)
            case "header":
                return message.texts(header.lower())
            case "from" | "to" | "cc" | "reply-to":
                return _part_of(message.addresses(name), part)
            case "recipients":
                return _part_of(message.addresses(*RECIPIENT_HEADERS), part)
            case "sender":
                return _part_of_path(envelope.sender, part)
            case "recipient":
                return _part_of_path(envelope.recipient, part)
            case "extension":
                return (envelope.extension,)
            case "list-id":
                return [t for text in message.texts(name) for t in _list_id(text)]
            case "size":
                return (str(message.size),)
            case "date" | "weekday" | "time":
                from mdeliver.conditions.moments import moment_text

                return (moment_text(name, self.now_s),)
            case "body":
                return self.body.texts()
            case "attachment":
                return self.body.types() if part == "type" else self.body.names()
            case "any header":
                return message.whole_fields()
            case _:
                raise AssertionError(f"the checker let the field {name} through")

    def octets(self) -> Iterable[bytes]:
        """The message in pieces, as programs get it."""
        octets = self.message.octets
        return (self.message.head,) if octets is None else octets()

    # --- texts and values --------------------------------------------------------------------

    def pieces(self, text: Text) -> tuple[str, ...]:
        """TEXT with its braces filled in."""
        return tuple([self.brace(p) if isinstance(p, Brace) else p for p in text.parts])

    def words(self, text: Text) -> str:
        """TEXT with its braces filled in, as one string."""
        return "".join(self.pieces(text))

    def argv(self, texts: tuple[Text, ...]) -> tuple[str, ...]:
        """A program and its arguments, each one word whatever a brace brings in."""
        from mdeliver.programs import argument

        return tuple([argument(self.words(text)) for text in texts])

    def brace(self, brace: Brace) -> Filled:
        """What BRACE stands for: a capture, a `let`, a field's first text, a fact of delivery."""
        text = self._named(brace.name)
        return Filled(text.lower() if brace.lower else text)

    def _named(self, name: str) -> str:
        if name.isdigit():
            if not 0 < int(name) <= len(self.captures):
                raise AssertionError(f"the checker let the capture {{{name}}} through")
            return self.captures[int(name) - 1]
        if name in self.lets:
            (value,) = self.lets[name]
            return value_text(value)
        match name:
            case "user":
                return self.envelope.user
            case "home":
                return self.envelope.home
            case "sent":
                return self.site.sent_folder
            case "year":
                return time.strftime("%Y", time.localtime(self.now_s))
            case "month":
                return time.strftime("%m", time.localtime(self.now_s))
            case "day":
                return time.strftime("%d", time.localtime(self.now_s))
        for part in ("address", "name", "domain", "local part"):
            if name.endswith(" " + part):
                texts = self._read(name.removesuffix(" " + part), part, "")
                break
        else:
            texts = self._read(name, "", "")
        return next(iter(texts), "")

    def values(self, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """VALUES with names replaced by what they stand for and braces filled in."""
        found: list[Value] = []
        for value in values:
            match value:
                case Text():
                    found.append(Text(self.pieces(value), value.span))
                case Name():
                    found += self.lets[value.name]
                case Me():
                    found += [Text((Filled(t),), value.span) for t in self.my_addresses()]
                case Range():
                    (low,) = self.values((value.low,))
                    (high,) = self.values((value.high,))
                    found.append(value.replace(low=low, high=high))
                case _:
                    found.append(value)
        return tuple(found)

    def lines(self, lines: Lines) -> str:
        """The values in the file of LINES, joined by line ends."""
        key = lines.span.file, "".join(map(str, lines.path.parts))  # no braces
        for file, path, text in self.tables:
            if (file, path) == key:
                return text
        raise AssertionError(f"{key} was not read")

    def return_path(self) -> str:
        """The envelope sender as it is, where local(8) could not say it in the environment.

        There every unusual character has become `_`; the Return-Path above all other fields has it
        (local(8), command_expansion_filter), with quotes where they must stand.
        """
        sender = self.envelope.sender
        if "_" not in sender or not self.came.fields:
            return sender
        name, _value = self.came.fields[0]
        written = self.came.addresses("return-path")
        if name.lower() != "return-path" or len(written) != 1:
            return sender
        text = written[0].text
        same = len(text) == len(sender) and all(
            b in (a, "_") for a, b in zip(text, sender, strict=True)
        )
        return text if same else sender

    def my_addresses(self) -> tuple[str, ...]:
        """What `me` stands for; by default this user at the site's domains."""
        if self.me:
            mine: list[str] = []
            for value in self.values(self.me):
                if isinstance(value, Lines):
                    mine += filter(None, self.lines(value).split("\n"))
                else:
                    mine.append(value_text(value))
            return tuple(mine)
        envelope = self.envelope
        domains = self.site.domains or (envelope.domain or self.site.hostname,)
        found = [f"{envelope.user}@{domain}" for domain in domains]
        local, at, domain = envelope.recipient.rpartition("@")
        if at:
            found.append(f"{without_extension(local, self.site)}@{domain}")
        return tuple(dict.fromkeys(found))


def _unplanned(_edit: Edit) -> None:
    """For a scene without a plan."""


def without_extension(local: str, site: Site) -> str:
    """LOCAL up to the first recipient delimiter (postconf(5), recipient_delimiter)."""
    for index, character in enumerate(local):
        # Postfix takes no delimiter at the very beginning for one.
        if index and character in site.recipient_delimiter:
            return local[:index]
    return local


def value_text(value: Value) -> str:
    """VALUE (names and braces resolved) as text."""
    match value:
        case Text():
            return "".join(map(str, value.parts))
        case Number():
            return value.digits
        case Quantity():
            return f"{value.digits}{value.unit}"
        case _:
            raise AssertionError(f"the checker let {type(value).__name__} through as a text")


def period_s(period: Quantity) -> float:
    """The time PERIOD in seconds."""
    return float(period.digits) * _PERIODS_S[period.unit]


def _part_of(addresses: Iterable[Address], part: str) -> list[str]:
    match part:
        case "" | "address":
            return [a.text for a in addresses]
        case "domain":
            return [a.domain for a in addresses]
        case "local part":
            return [a.local for a in addresses]
        case "name":
            # An address without a name has none: it is not the name "".
            return [n for a in addresses if (n := a.display_name)]
        case _:
            raise AssertionError(part)


def _part_of_path(path: str, part: str) -> tuple[str, ...]:
    """The part of an envelope address; the null sender has empty ones."""
    local, at, domain = path.rpartition("@")
    match part:
        case "" | "address":
            return (path,)
        case "domain":
            return (domain if at else "",)
        case "local part":
            return (local if at else path,)
        case _:
            return ()


def _list_id(text: str) -> tuple[str, ...]:
    """RFC 2919: list-id-header = "List-ID:" [phrase] "<" list-id ">"."""
    start = text.rfind("<")
    end = text.find(">", start)
    if start < 0 or end < 0:
        return (text,)
    return (text[start + 1 : end].strip(), text)
