"""Words and objects for people and programs: why a message goes where it goes.

Used by     evaluate.py where a trace is asked for (`fits`, `fits_not`) and by the dry run, which
            shows a Decision as text or as the object of `mdeliver test --json`.
Guarantee   no control character of a message or a rule reaches the output.
"""

from __future__ import annotations

from mdeliver.deedwords import action_object, action_words
from mdeliver.language import printer, syntax
from mdeliver.outcome import one_line
from mdeliver.plan import File, Forward, Pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mdeliver.language.syntax import Field, Test, Text, Value
    from mdeliver.message import Message
    from mdeliver.outcome import Outcome
    from mdeliver.plan import Action, Decision, Step

    Paint = Callable[[str, str], str]
    """Takes a colour's name and words; the words in that colour."""

SHOWN_CHARACTERS = 72
"""A longer text of a message is cut in an explanation."""

COLUMNS = 100
"""A reason that does not fit beside its rule in so many columns stands below it."""

SHOWN_TEXTS = 3
"""That many texts of one field are shown, the others counted."""

_ADDRESSES = ("from", "to", "cc", "reply-to", "recipients")

# --- reasons ---------------------------------------------------------------------------------


def fits(field: Field | Text, text: str, test: Test, value: Value | None) -> str:
    """Why TEST's comparison held: TEXT of FIELD fits VALUE (None for `exists`)."""
    if value is None:
        return f"{_field(field)} is {quoted(text)}"
    shown = text if _is_plain(field) else quoted(text)
    return f"{_field(field)} {shown} {test.operator} {one_line(printer.value(value))}"


def fits_not(found: Sequence[tuple[Field | Text, Sequence[str]]], limit: str) -> str:
    """Why nothing fitted: what was FOUND in each field, and the LIMIT that was reached, if any."""
    reasons = []
    for field, texts in found:
        words = _field(field)
        if not texts:
            address = getattr(field, "name", "") in _ADDRESSES and not getattr(field, "part", "")
            reasons.append(f"no address in {words}" if address else f"no {words}")
        elif words == "any header":
            reasons.append(f"none of {len(texts)} headers")
        else:
            shown = [t if _is_plain(field) else quoted(t) for t in texts[:SHOWN_TEXTS]]
            more = f" and {len(texts) - SHOWN_TEXTS} more" if len(texts) > SHOWN_TEXTS else ""
            reasons.append(f"{words} is {', '.join(shown)}{more}")
    return ", ".join(reasons) + (f" ({limit})" if limit else "")


def _field(field: Field | Text) -> str:
    return printer.text(field) if isinstance(field, syntax.Text) else printer.field(field)


def _is_plain(field: Field | Text) -> bool:
    """Whether the field's text is written without quotes, as its values are."""
    return getattr(field, "name", "") in ("size", "date", "weekday", "time")


def quoted(text: str) -> str:
    """TEXT in quotes on one line, cut where it is long."""
    cut = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return f'"{one_line(cut)}"'


# --- the decision ----------------------------------------------------------------------------


def as_object(name: str, message: Message, decision: Decision, outcome: Outcome) -> dict[str, Any]:
    """The object of `mdeliver test --json` for the message called NAME."""
    plan = decision.plan
    return {
        "message": name,
        "message_id": message_id(message),
        "actions": [action_object(action) for action in plan.actions],
        **_outcome_object(outcome),
        "trace": [
            {
                "rule": step.rule,
                "depth": step.depth,
                "source": step.source,
                "result": step.result,
                "because": step.because,
            }
            for step in decision.trace
        ],
    }


def _outcome_object(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.fate,
        "exit_status": outcome.exit_status,
        "reply": outcome.reply,
    }


def message_id(message: Message) -> str | None:
    """The first Message-ID, None where there is none."""
    return next(iter(message.texts("message-id")), None)


def as_lines(
    name: str, message: Message, decision: Decision, outcome: Outcome, paint: Paint
) -> list[str]:
    """The decision as people read it: rules with their reasons, the plan, the reply."""
    lines = [
        paint("bold", one_line(name)) + f"  {one_line(message_id(message) or 'no Message-ID')}"
    ]
    lines += _trace_lines(decision.trace, paint)
    verdict = decision.plan.verdict
    if not any(isinstance(action, File | Forward | Pipe) for action in decision.plan.actions):
        lines.append("  nothing is filed")
    for action in decision.plan.actions:
        lines.append("  " + _action_line(action, paint))
    lines.append(outcome_line(outcome, verdict.rule, paint))
    return lines


def outcome_line(outcome: Outcome, rule: str | None, paint: Paint) -> str:
    """What the MTA is told, and the RULE that ended the rules if one did."""
    colour = {"delivered": "green", "discarded": "yellow"}.get(outcome.fate, "red")
    by = f" by {one_line(rule)}" if rule else ""
    return (
        f"  {paint(colour, outcome.fate)}{by}: exit status {outcome.exit_status},"
        f" reply {outcome.reply}"
    )


def _trace_lines(trace: Sequence[Step], paint: Paint) -> list[str]:
    width = max([len(step.rule) for step in trace], default=0)
    source_width = min(48, max([2 * s.depth + len(s.source) for s in trace], default=0))
    colours = {"yes": "green", "no": "red", "unknown": "yellow"}
    lines = []
    for step in trace:
        word = step.result if step.result in colours else "-" if step.result == "skipped" else ""
        marked = paint(colours.get(step.result, "dim"), f"{word:7}")
        source = "  " * step.depth + one_line(step.source)
        line = f"  {one_line(step.rule):{width}}  {marked} {source:{source_width}}".rstrip()
        because = one_line(step.because)
        if not because:
            lines.append(line)
        elif width + source_width + len(because) + 14 <= COLUMNS and len(source) <= source_width:
            lines.append(f"{line}{' ' * (source_width - len(source))}  {paint('dim', because)}")
        else:
            lines += [line, " " * (width + 14 + 2 * step.depth) + paint("dim", because)]
    return lines


def _action_line(action: Action, paint: Paint) -> str:
    if not isinstance(action, File):
        words = one_line(action_words(action))
        return f"{paint('bold', words)}  {paint('dim', one_line(action.rule or ''))}"
    place = "/".join([word for word in (action.mailbox, action.folder) if word])
    # A mbox ignores flags; saying them here would promise what nobody will see.
    shown = action.flags and action.store == "maildir"
    flags = f" as {', '.join(action.flags)}" if shown else ""
    by = action.rule or "no rule took it: the inbox"
    return (
        f"file to {paint('bold', one_line(action.path))} ({action.store}"
        f"{' ' + one_line(place) if place else ''}){flags}  {paint('dim', one_line(by))}"
    )
