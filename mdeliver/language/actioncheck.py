"""Find the errors of single actions: codes, names and texts that can mean nothing.

Fails with  findings; nothing is raised.
See also    checker.py, which walks the statements; findings.py for the codes
"""

from __future__ import annotations

from mdeliver.addresses import can_be_sent_to
from mdeliver.language import syntax
from mdeliver.language.parse_values import plain_text
from mdeliver.language.values import check_period
from mdeliver.replytext import wrong_reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.checker import Checker

_OF_SHELLS = frozenset("|<>;&$`")

# RFC 5322 3.6.8: ftext = %d33-57 / %d59-126
_FTEXT = frozenset(chr(code) for code in range(33, 127) if chr(code) != ":")


def check_action(checker: Checker, action: syntax.Action) -> None:
    """Check ACTION, which is neither `file to` nor `keep` nor `discard`."""
    match action:
        case syntax.Reject() | syntax.Defer():
            if action.text is not None:
                checker.text(action.text)
                _status(checker, action)
        case syntax.Mark():
            pass  # the parser knows the flags
        case syntax.SetHeader() | syntax.AddHeader():
            checker.text(action.line)
            _header_line(checker, action.line)
        case syntax.RemoveHeader():
            for name in action.names:
                _header_name(checker, "".join([p for p in name.parts if isinstance(p, str)]), name)
        case syntax.Log():
            checker.text(action.text)
        case syntax.PipeTo() | syntax.FilterThrough() | syntax.Run():
            check_program(checker, action.argv)
        case syntax.ForwardTo():
            for value in action.addresses:
                _address(checker, value)
        case syntax.ReplyWith():
            _reply(checker, action)
        case _:
            raise AssertionError(f"{type(action).__name__} is not checked")


def _address(checker: Checker, value: syntax.Value) -> None:
    """What can be an address, and is one where it is written out."""
    for of in sorted(set(checker.kinds(value)) - {"text", "me", "lines"}):
        checker.report("E305", f"forward to needs addresses, not a {of}", value.span)
    if isinstance(value, syntax.Text):
        words = plain_text(value)
        if words is not None and not can_be_sent_to(words):
            hint = "each address is a text of its own" if "," in words else ""
            checker.report("E331", f'"{words}" is no address', value.span, hint)


def _reply(checker: Checker, reply: syntax.ReplyWith) -> None:
    """The text that is written out; compile.py has read and looked at those in files."""
    if reply.every is not None:
        check_period(reply.every, checker.report)
    parts = reply.text.parts
    pieces = [(False, part) if isinstance(part, str) else (True, "?") for part in parts]
    if not reply.is_file:
        checker.text(reply.text)
        wrong = wrong_reply(pieces)
        if wrong:
            checker.report("E333", wrong, reply.text.span)
    elif any(is_brace for is_brace, _piece in pieces):
        checker.report("E316", "the file of a reply is named without braces", reply.text.span)


def check_program(checker: Checker, argv: tuple[syntax.Text, ...]) -> None:
    """The program that ARGV names, and the braces of its arguments."""
    program, *arguments = argv
    for argument in arguments:
        checker.text(argument)
    if any(isinstance(part, syntax.Brace) for part in program.parts):
        hint = "write it out; ~/ is the home directory"
        checker.report("E330", "a program is named without braces", program.span, hint)
        return
    name = "".join([part for part in program.parts if isinstance(part, str)])
    if not name.startswith(("/", "~/")):
        hint = ""
        if not _OF_SHELLS.isdisjoint(name):
            hint = "there is no shell: write a script, and name that"
        elif any(c.isspace() for c in name):
            words = " ".join([f'"{word}"' for word in name.split()])
            hint = f"each argument is a text of its own: {words}"
        elif "/" in name:
            hint = "write the whole path; ~/ is the home directory"
        elif name:
            return
        checker.report("E330", f'"{name}" names no program', program.span, hint)


def _header_line(checker: Checker, line: syntax.Text) -> None:
    """`Name: text`, the name and its colon written out."""
    first = line.parts[0] if line.parts else ""
    name, colon, _text = first.partition(":") if isinstance(first, str) else ("", "", "")
    if not colon:
        hint = 'write "Name: text"; only the text may hold braces'
        checker.report("E329", "a header line begins with its name and a colon", line.span, hint)
    else:
        _header_name(checker, name.rstrip(), line)


def _header_name(checker: Checker, name: str, place: syntax.Text) -> None:
    if any(isinstance(part, syntax.Brace) for part in place.parts[:1]):
        checker.report("E329", "a header's name is written out, without braces", place.span)
    elif not name or not _FTEXT.issuperset(name):
        hint = "letters, digits and - make a name, such as X-Spam-Flag"
        checker.report("E329", f'"{name}" is no name of a header', place.span, hint)


def _status(checker: Checker, action: syntax.Reject | syntax.Defer) -> None:
    """A status code that opens the text is of the action's class (RFC 3463)."""
    rejects = isinstance(action, syntax.Reject)
    text = action.text
    first = text.parts[0] if text is not None and text.parts else ""
    if text is None or not isinstance(first, str) or not first.strip():
        return
    code = first.split()[0]
    parts = code.split(".")
    wanted = "5" if rejects else "4"
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() for p in parts):
        return
    word = "reject" if rejects else "defer"
    if parts[0] != wanted:
        hint = f"{wanted} means {'permanent' if rejects else 'for the time being'}"
        message = f"{code} is no status of a {word}: it must begin with {wanted}."
        checker.report("E315", message, text.span, hint)
    elif any(len(part) > 3 for part in parts):
        checker.report("E315", f"{code} has a number of more than three digits", text.span)
