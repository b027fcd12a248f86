"""Warnings about programs and their arguments: W412, W413.

See also    lints.py, which walks the rules; actioncheck.py for what is an error
"""

from __future__ import annotations

from mdeliver.language import syntax
from mdeliver.language.checker import VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdeliver.diagnostic import Span

_NEVER_A_HYPHEN = VARIABLES | {"size", "date", "weekday", "time"}
"""What no message chooses."""


def argv_findings(
    argv: tuple[syntax.Text, ...], lets: Mapping[str, syntax.Let]
) -> Iterator[tuple[str, str, Span, str]]:
    """Code, message, place and hint of each; LETS are those that stand above."""
    program, *arguments = argv
    name = "".join([part for part in program.parts if isinstance(part, str)])
    if any(c.isspace() for c in name):
        hint = "each argument is a text of its own"
        yield "W413", "this names one program, white space and all", program.span, hint
    for argument in arguments:
        if argument.parts == ("--",):
            return
        brace = _first_brace(argument)
        if brace is not None and _from_outside(brace, lets):
            message = f"{{{brace.name}}} may begin with a hyphen, and be taken for an option"
            hint = 'put "--" before it, if the program knows that'
            yield "W412", message, argument.span, hint


def _first_brace(text: syntax.Text) -> syntax.Brace | None:
    """The brace that TEXT begins with."""
    first = next(iter([part for part in text.parts if part]), None)
    return first if isinstance(first, syntax.Brace) else None


def _from_outside(
    brace: syntax.Brace, lets: Mapping[str, syntax.Let], asked: tuple[str, ...] = ()
) -> bool:
    """Whether a message decides how what BRACE stands for begins; ASKED led there."""
    let = lets.get(brace.name)
    if let is None:
        return brace.name not in _NEVER_A_HYPHEN
    inner = [_first_brace(value) for value in let.values if isinstance(value, syntax.Text)]
    # A let made of its own earlier meaning: where that began is not known any more.
    asked = (*asked, brace.name)
    return any(b and b.name not in asked and _from_outside(b, lets, asked) for b in inner)
