"""What stands above converted rules: `let`s for what a brace cannot say itself.

short_year      `date +%y`: a brace has {year}, whole
answer_address  whom `formail -rt` would answer: Reply-To, else From
text_of_NAME    the text of a header, which a brace has only for some
mail_system     what ^FROM_MAILER looks for
"""

from __future__ import annotations

import re

from mdeliver.procmail import mailer
from mdeliver.procmail.rules import Branch, Choice, Line
from mdeliver.procmail.wording import ANSWER, SHORT_YEAR, TEXT_OF, Test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node

_MAILER = re.compile(rf"\bmatch(?:es)? ({mailer.PATH}|{mailer.VALUE})\b")

_BRACE = re.compile(rf"\{{(?:lower )?({SHORT_YEAR}|{ANSWER}|{TEXT_OF}\w+)\}}")


def definitions_for(lines: list[str]) -> list[Node]:
    """The `let`s that the rules LINES need above them."""
    rules = [line for line in lines if not line.lstrip().startswith("#")]
    wanted = dict.fromkeys([found[1] for line in rules for found in _BRACE.finditer(line)])
    made = [node for name in wanted for node in _definition(name)]
    named = dict.fromkeys([found[1] for line in rules for found in _MAILER.finditer(line)])
    for name in named:
        made.append(Line(f"let {name} = {mailer.DEFINITIONS[name]}"))
    return made


def _definition(name: str) -> list[Node]:
    match name:
        case "short_year":
            return _captured(name, '""', Test('"{year}"', "matches", ('"??(*)"',)))
        case "answer_address":
            return _captured(name, '"{from}"', Test("reply-to", "matches", ('"(*)"',)))
        case _:
            header = name.removeprefix(TEXT_OF).replace("_", "-").title()
            return _captured(name, '""', Test(f'header "{header}"', "matches", ('"(*)"',)))


def _captured(name: str, otherwise: str, test: Test) -> list[Node]:
    """NAME is what TEST captures, else OTHERWISE."""
    captured = Branch(test, [Line(f'let {name} = "{{1}}"')])
    return [Line(f"let {name} = {otherwise}"), Choice([captured])]
