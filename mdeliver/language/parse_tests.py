"""Parse conditions: fields, operators, facts, and what binds them.

Grammar     expr, conj, neg, test, fields, field, op, fact of mdeliver-rules(5)
Limits      NESTING_DEPTH of parentheses, `not` and blocks together, so that neither this
            recursion nor any later one over the tree can exhaust the stack.
See also    parse_values.py (tokens, values and recovery), parser.py (statements)
"""

from __future__ import annotations

from mdeliver.language import syntax
from mdeliver.language.parse_values import LITERALS, RESERVED, ValueParser, plain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ADDRESS_FIELDS = frozenset(["from", "to", "cc", "reply-to", "sender", "recipient", "recipients"])
_PLAIN_FIELDS = frozenset(
    ["subject", "list-id", "extension", "body", "size", "date", "weekday", "time"]
)
_PLAIN_OPERATORS = {"contains": "", "matches": "", "starts": "with", "ends": "with"}
_NEGATED_OPERATORS: dict[str, syntax.Comparison] = {
    "contain": "contains",
    "match": "matches",
    "start": "starts with",
    "end": "ends with",
}
METHODS = frozenset(("spf", "dkim", "dmarc", "arc"))


class TestParser(ValueParser):
    """Conditions. Statements are in parser.py."""

    __slots__ = ()

    # --- expr --------------------------------------------------------------------------------

    def expr(self) -> syntax.Expr:
        """expr = conj {"or" conj}"""
        start = self.at
        first = self._conj()
        if not (self.kind == "id" and self.value == "or"):
            return first
        operands = [first]
        while self.accept("or"):
            operands.append(self._conj())
        return syntax.Or(tuple(operands), self.span(start))

    def _conj(self) -> syntax.Expr:
        """conj = neg {"and" neg}"""
        start = self.at
        first = self._neg()
        if not (self.kind == "id" and self.value == "and"):
            return first
        operands = [first]
        while self.accept("and"):
            operands.append(self._neg())
        return syntax.And(tuple(operands), self.span(start))

    def _neg(self) -> syntax.Expr:
        """neg = "not" neg | "(" expr ")" | test"""
        start = self.at
        if self.accept("not"):
            self.deeper()
            operand = self._neg()
            self.depth -= 1
            return syntax.Not(operand, self.span(start))
        if self.kind == "(":
            opened = self.here()
            self.deeper()
            self.advance()
            inner = self.expr()
            if self.kind != ")":
                if self.kind in (":", "nl", "end") or self._begins_line():
                    self.fail("E215", "this parenthesis is never closed", "write )", opened)
                self._after_test('"and", "or" or ")"')
            self.advance()
            self.depth -= 1
            return inner
        return self._test()

    def _begins_line(self) -> bool:
        """Whether a statement, by its looks, begins here: a parenthesis was left open above."""
        from mdeliver.language import hints

        first = self.tokens[self.at][2] != self.tokens[self.at - 1][2]
        return first and self.kind == "id" and self.value in hints.STATEMENTS

    def _after_test(self, what: str) -> NoReturn:
        from mdeliver.language import hints

        hint = hints.after_test(self.tokens, self.at)
        self.fail_expected(what, hint=hint)

    def _test(self) -> syntax.Expr:
        """test = (fields | STR) op | fact"""
        start = self.at
        fields: tuple[syntax.Field | syntax.Text, ...]
        if self.kind == "str":
            text: syntax.Text = self.value
            self.advance()
            if self.kind in (":", "nl", "end", ")", ",") or self.value in ("and", "or"):
                self._lonely_text(start)
            fields = (text,)
        else:
            fact = self._fact() if self.kind == "id" else None
            if fact is not None:
                return fact
            fields = self._fields()
        return self._compared(fields, start)

    def _lonely_text(self, start: int) -> NoReturn:
        """A text where a test should be: after `or`, a second value was meant."""
        hint = 'name the field: from contains "…"'
        if start and self.tokens[start - 1][1] in ("or", "and"):
            hint = 'a comma stands between values: is "a", "b" holds for any of them'
        place = self.span(start)
        self.fail("E211", "a text alone is no test", hint, place)

    # --- fields ------------------------------------------------------------------------------

    def _fields(self) -> tuple[syntax.Field, ...]:
        """fields = field {"," (field | STR)}: a text only after a header's name"""
        fields = [self._field()]
        while self.kind == ",":
            self.advance()
            if self.kind == "str" and fields[-1].name == "header":
                start = self.at
                fields.append(syntax.Field("header", "", self._header_name(), self.span(start)))
            else:
                fields.append(self._field())
        return tuple(fields)

    def _field(self) -> syntax.Field:
        start = self.at
        word = self.value
        if self.kind != "id":
            self.fail_expected("a test such as from is …")
        if word in ADDRESS_FIELDS:
            self.advance()
            part = self.value if self.kind == "id" else ""
            if part == "local":
                self.advance()
                self.expect("part")
                part = "local part"
            elif part in ("name", "address", "domain"):
                self.advance()
            else:
                part = ""
            return syntax.Field(word, part, "", self.span(start))
        if word in _PLAIN_FIELDS:
            self.advance()
            return syntax.Field(word, "", "", self.span(start))
        if word == "header":
            self.advance()
            return syntax.Field("header", "", self._header_name(), self.span(start))
        if word == "any":
            self.advance()
            self.expect("header")
            return syntax.Field("any header", "", "", self.span(start))
        if word == "attachment":
            self.advance()
            part = self.value if self.kind == "id" and self.value in ("name", "type") else ""
            if part:
                self.advance()
            return syntax.Field("attachment", part, "", self.span(start))
        return self._no_field(word)

    def _no_field(self, word: str) -> NoReturn:
        from mdeliver.language import hints

        hint = hints.did_you_mean(word, (*hints.FIELDS, *hints.FACTS, "not"))
        if self.tokens[self.at - 1][0] == "," and (not hint or word in hints.FACTS):
            hint = "a comma stands between fields or values; between tests stands and or or"
        elif word in RESERVED or word in hints.ACTIONS:
            hint = "a test such as from is … stands here"
        elif word[:1].isupper() or word.lower().startswith("x-"):
            hint = hint or f'write header "{word}"'
        self.fail("E209", f"{word} is no field of a message", hint)

    def _header_name(self) -> str:
        """A header's name: a text without braces (RFC 5322 2.2: printable ASCII, no colon)."""
        if self.kind != "str":
            from mdeliver.language import hints

            named = self.kind == "id" and self.value not in hints.OPERATORS
            hint = f'write header "{self.value}"' if named else ""
            self.fail_expected('a header\'s name such as "X-Spam-Flag"', "E220", hint)
        text: syntax.Text = self.value
        name = plain_text(text)
        if name is None:
            self.report("E316", "a header's name has no braces")
            name = "X"
        elif not name or not all("!" <= c <= "~" and c != ":" for c in name):
            hint = f'write "{name.rstrip(": ")}"' if name.rstrip(": ").isascii() and name else ""
            self.report("E323", f'"{name}" is no name of a header', hint)
        self.advance()
        return name

    # --- operators and values ----------------------------------------------------------------

    def _compared(self, fields: tuple[syntax.Field | syntax.Text, ...], start: int) -> syntax.Test:
        """op = "is" ["not"] ["exactly"] values | CMP one | "exists" | "does" "not" … | …"""
        word = self.value
        negated = exactly = False
        if self.kind == "cmp":
            self.advance()
            one = (self.one(),)
            return syntax.Test(fields, word, False, False, one, self.span(start))
        operator: syntax.Comparison
        if self.kind == "id" and word == "is":
            self.advance()
            negated = self.accept("not")
            operator = "is"
        elif self.kind == "id" and word in _PLAIN_OPERATORS:
            self.advance()
            second = _PLAIN_OPERATORS[word]
            if second:
                self.expect(second)
                word = f"{word} {second}"
            operator = word
        elif self.kind == "id" and word == "exists":
            self.advance()
            operator = "exists"
        elif self.kind == "id" and word == "does":
            self.advance()
            self.expect("not")
            negated = True
            operator = self._negated_operator()
        else:
            self._no_operator()
        if operator == "exists":
            if self.kind in LITERALS:
                hint = "write contains or is before a value"
                self.fail("E306", "exists takes no value", hint)
            return syntax.Test(fields, operator, negated, False, (), self.span(start))
        exactly = self.accept("exactly")
        values = self.values()
        return syntax.Test(fields, operator, negated, exactly, values, self.span(start))

    def _negated_operator(self) -> syntax.Comparison:
        word = self.value if self.kind == "id" else ""
        if word == "exist":
            self.advance()
            return "exists"
        operator = _NEGATED_OPERATORS.get(word)
        if operator is None:
            hint = "write does not start with" if word == "starts" else ""
            if word in ("contains", "exists", "matches", "ends"):
                hint = f"write does not {word[:-2] if word == 'matches' else word[:-1]}"
            self.fail_expected("contain, match, start with, end with or exist", "E210", hint)
        self.advance()
        if word in ("start", "end"):
            self.expect("with")
        return operator

    def _no_operator(self) -> NoReturn:
        from mdeliver.language import hints

        token, following = self.tokens[self.at], self.following()
        if self.kind == "id" and self.value == "not":
            word = following[1] if following[0] == "id" else "exists"
            message = "not stands before a whole test, or within is not and does not"
            self.fail("E212", message, hints.negated(word))
        hint = hints.operator(token, following)
        self.fail_expected("is, contains, matches or another operator", "E210", hint)

    # --- facts -------------------------------------------------------------------------------

    def _fact(self) -> syntax.Expr | None:
        """fact = "sent" "by" "me" | "addressed" "to" "me" | … ; None where none begins here"""
        start, word = self.at, self.value
        if word in ADDRESS_FIELDS or word in _PLAIN_FIELDS:
            return None
        if word == "sent":
            self.advance()
            self.expect("by", "me")
            return syntax.SentByMe(self.span(start))
        if word == "addressed":
            self.advance()
            self.expect("to", "me")
            return syntax.AddressedToMe(self.span(start))
        if word == "duplicate":
            self.advance()
            self.expect("within")
            period = self.quantity("a time such as 7d")
            return syntax.DuplicateWithin(period, self.span(start))
        if word == "automatic":
            self.advance()
            return syntax.Automatic(self.span(start))
        if word == "mailing":
            self.advance()
            self.expect("list")
            return syntax.MailingList(self.span(start))
        if word == "program":
            self.advance()
            argv = self.texts("a program's name")
            self.expect("succeeds")
            return syntax.ProgramSucceeds(argv, self.span(start))
        if word in METHODS:
            self.advance()
            results = [self.identifier("a result such as fail")]
            while self.kind == ",":
                self.advance()
                results.append(self.identifier("a result such as fail"))
            return syntax.Authentication(word, tuple(results), self.span(start))
        return None
