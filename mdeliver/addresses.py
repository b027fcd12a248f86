"""Addresses in header fields (From, To, Cc, ...), as tolerant as mail is broken.

    address-list = address *("," address)              RFC 5322 3.4, 4.4
    address      = mailbox / display-name ":" [mailbox-list] ";"
    mailbox      = [phrase] "<" [route ":"] addr-spec ">" / addr-spec
    addr-spec    = local-part "@" domain, local-part = dot-atom / quoted-string / words with dots

Guarantee   never raises, linear time. The address is what stands in `<>`, or where none stand the
            words around the last bare `@`; what stands in quotes, comments or encoded words is
            never taken for an address, so `"bob@example.org" <evil@example.com>` is evil's.
Tolerates   missing `>`, quotes, brackets and parentheses, `;` for `,`, 8-bit and SMTPUTF8
            (RFC 6532), names without quotes around their dots and commas' quotes, words instead of
            an address (a local part without `@` is the user of this host).
See also    message.py; `email.utils` costs 46 ms to import and is only the tests' reference.
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.record import Record

# atext of RFC 5322 3.2.3 and the dot; above ASCII everything (RFC 6532).
_DOT_ATOM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~."
_NO_DOT_ATOM = dict.fromkeys(map(ord, _DOT_ATOM))

_LONGEST = 320
"""RFC 5321 4.5.3.1 gives a local part 64 octets and a domain 255."""

_SPECIALS = '"\\()<>,;:[]@'


class Address(Record):
    """One mailbox.

    name    display name, else the comment, else ""; RFC 2047 words still encoded
    local   local part without quotes
    domain  what follows the `@`, else ""
    """

    name: str
    local: str
    domain: str

    def __init__(self, name: str, local: str, domain: str) -> None:
        # Ten thousand of them are made at once: the general way costs three times as much.
        set_field = object.__setattr__
        set_field(self, "name", name)
        set_field(self, "local", local)
        set_field(self, "domain", domain)

    @property
    def text(self) -> str:
        """The bare address; "" is the null address. Quotes stand where they must."""
        local = self.local
        # Words that are no address need no quotes, unless they could be taken for one.
        if (self.domain or "@" in local) and not _is_dot_atom(local):
            escaped = local.replace("\\", "\\\\").replace('"', '\\"')
            local = f'"{escaped}"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def display_name(self) -> str:
        """The name as people read it."""
        if "=?" in self.name:
            from mdeliver.headertext import decode_words

            return decode_words(self.name, limits.ENCODED_WORDS)
        return self.name


def _is_dot_atom(local: str) -> bool:
    return local != "" and all(c > "\x7f" for c in local.translate(_NO_DOT_ATOM))


def can_be_sent_to(text: str) -> bool:
    """Whether TEXT is an address that mail can be sent to, as it stands.

    Mailbox = Local-part "@" ( Domain / address-literal )          RFC 5321 4.1.2, RFC 6531
    or the local part alone, which is a user of this host. None begins as an option of a program
    does, or as what some MTAs take for a command or a file.
    """
    if not text.isprintable() or text.startswith(("-", "|", "/")) or len(text) > _LONGEST:
        return False
    local, at, domain = text.rpartition("@")
    if not at:
        local = domain
    elif domain.startswith("["):
        literal = domain[1:-1]
        if not domain.endswith("]") or not literal.replace(":", "").replace(".", "").isalnum():
            return False
    elif not all(_is_label(label) for label in domain.split(".")):
        return False
    if at and len(local) > 2 and local[0] == local[-1] == '"':
        quoted = local[1:-1].replace("\\\\", "").replace('\\"', "")
        return '"' not in quoted and not quoted.endswith("\\")
    return all(_is_dot_atom(atom) for atom in local.split("."))


def _is_label(label: str) -> bool:
    """RFC 1034 3.5, RFC 5890: letters, digits, hyphens, and what is not ASCII."""
    return label.strip("-") == label != "" and all(
        c.isalnum() or c in "-" or c > "\x7f" for c in label
    )


def parse_addresses(value: str, most: int) -> list[Address]:
    """Up to MOST addresses in VALUE, an unfolded header value with its words still encoded."""
    text = value.replace("\n", " ")
    for special in _SPECIALS:
        if special in text:
            text = text.replace(special, f"\n{special}\n")
    return _Reader([token for token in text.split("\n") if token], most).addresses()


class _Reader:
    """Reads tokens: a token is one special character or a stretch without any."""

    __slots__ = ("at", "comments", "most", "open", "tokens", "words")

    def __init__(self, tokens: list[str], most: int) -> None:
        self.tokens = tokens
        self.most = most
        self.at = 0
        self.open = ""
        """Characters that open what the rest of the text never closes: they are plain."""
        self.words: list[tuple[bool, str]] = []
        """What has been read of the mailbox: (whether it was quoted, text)."""
        self.comments: list[str] = []

    def addresses(self) -> list[Address]:
        found: list[Address] = []
        tokens = self.tokens
        angle = False  # whether the mailbox that is being read had its <>
        while self.at < len(tokens) and len(found) < self.most:
            token = tokens[self.at]
            self.at += 1
            if token == "<":
                if angle:
                    self.words.clear()
                inside = self.angle()
                found.append(_mailbox(inside, self.name()))
                self.words.clear()
                self.comments.clear()
                angle = True
            elif token in ",;":
                self.finish(found, angle)
                angle = False
            elif token == ":":
                # A group's name (or a route without <>): its members follow.
                self.words.clear()
                self.comments.clear()
                angle = False
            elif not self.word(token):
                self.words.append((False, token))
        if len(found) < self.most:
            self.finish(found, angle)
        return found

    def finish(self, found: list[Address], angle: bool) -> None:
        """End of a mailbox: one without <> is made of its words."""
        if self.words and not angle:
            address = _bare_mailbox(self.words, " ".join(self.comments))
            if address is not None:
                found.append(address)
        elif angle and self.comments and found and not found[-1].name:
            last = found[-1]
            found[-1] = Address(" ".join(self.comments), last.local, last.domain)
        self.words.clear()
        self.comments.clear()

    def name(self) -> str:
        """The display name before `<`, else the comment."""
        joined = "".join([text for _quoted, text in self.words])
        return " ".join(joined.split()) or " ".join(self.comments)

    def word(self, token: str) -> bool:
        """Take the quoted text, comment or domain literal that TOKEN opens; False: none."""
        if token not in '"([' or token in self.open:
            return False
        start = self.at
        inside = self.inside(token)
        if inside is None:
            # Looking for the end once only keeps this linear.
            self.at = start
            self.open += token
            return False
        if token == '"':
            self.words.append((True, inside))
        elif token == "[":
            self.words.append((False, f"[{inside.strip()}]"))
        else:
            comment = " ".join(inside.split())
            if comment:
                self.comments.append(comment)
            # A comment is white space to what stands around it.
            self.words.append((False, " "))
        return True

    def angle(self) -> list[tuple[bool, str]]:
        """The words between `<` and `>`, without a route (RFC 5322 4.4: `@one,@two:`)."""
        outer = self.words, self.comments
        words: list[tuple[bool, str]] = []
        self.words, self.comments = words, []
        tokens = self.tokens
        while self.at < len(tokens):
            token = tokens[self.at]
            if token == "<":
                break
            self.at += 1
            if token == ">":
                break
            if token == ":":
                words.clear()
            elif token == "," and not _is_route(words):
                # The `>` is missing: what follows is the next address.
                self.at -= 1
                break
            elif not self.word(token):
                words.append((False, token))
        self.words, self.comments = outer
        return words

    def inside(self, opened: str) -> str | None:
        """The text after OPENED up to what closes it, which is taken too; None if nothing does.

        Comments nest; `\\` makes the next character plain.
        """
        closing = {'"': '"', "[": "]", "(": ")"}[opened]
        taken: list[str] = []
        depth = 1
        tokens = self.tokens
        at = self.at
        while at < len(tokens):
            token = tokens[at]
            at += 1
            if token == closing:
                depth -= 1
                if not depth:
                    self.at = at
                    return "".join(taken)
            elif token == "(" == opened:
                depth += 1
            elif token == "\\" and at < len(tokens):
                token = tokens[at]
                at += 1
            taken.append(token)
        return None


def _is_route(words: list[tuple[bool, str]]) -> bool:
    for quoted, text in words:
        if quoted or text.strip():
            return text == "@" and not quoted
    return False


def _mailbox(words: list[tuple[bool, str]], name: str) -> Address:
    """What stands in `<>`; the last bare `@` parts it, as Postfix does."""
    at = len(words)
    for index in range(len(words) - 1, -1, -1):
        if words[index] == (False, "@"):
            at = index
            break
    local = "".join([text if quoted else "".join(text.split()) for quoted, text in words[:at]])
    domain = "".join(["".join(text.split()) for _quoted, text in words[at + 1 :]])
    return Address(name, local, domain)


def _bare_mailbox(words: list[tuple[bool, str]], comment: str) -> Address | None:
    """A mailbox without `<>`; None where nothing stands.

    `Ann ann@example.org` (no addr-spec) is read as its author meant it. Where several `@` or
    words after the domain leave a choice, nobody's address is chosen: the whole stands as the
    local part, so that no test for one of them holds.
    """
    ats = [index for index, word in enumerate(words) if word == (False, "@")]
    if len(ats) == 1:
        before, after = words[: ats[0]], words[ats[0] + 1 :]
        domain = _joined_at_dots("".join([text for _quoted, text in after]))
        # Quoted texts stay whole while the rest is parted at white space.
        quoted_texts = iter([text for quoted, text in before if quoted])
        shape = "".join(["\n" if quoted else text for quoted, text in before])
        local = [
            "".join([next(quoted_texts) if c == "\n" else c for c in word])
            for word in _joined_at_dots(shape)
        ]
        if len(domain) <= 1 and (domain or local):
            name = " ".join(local[:-1])
            return Address(name or comment, local[-1] if local else "", "".join(domain))
    whole = " ".join("".join([text for _quoted, text in words]).split())
    return Address(comment, whole, "") if whole.strip("@ ") else None


def _joined_at_dots(text: str) -> list[str]:
    """The words of TEXT; white space beside a dot parts none (obs-local-part, obs-domain)."""
    words: list[str] = []
    # "\n" stands for a quoted text here, and is no white space.
    for word in text.replace("\t", " ").split(" "):
        if not word:
            continue
        if words and (words[-1][-1] == "." or word[0] == "."):
            words[-1] += word
        else:
            words.append(word)
    return words
