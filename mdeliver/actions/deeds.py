"""The actions that rules take less often: how each is planned.

A function per kind, in a module of its own that is imported when a rule comes to it. It gets the
run and the action, adds to the plan, and changes what later lines see of the message.

See also  evaluate.py; places.py for `file to` and `keep`
"""

from __future__ import annotations

from mdeliver.language import syntax
from mdeliver.language.syntax import (
    AddHeader,
    FilterThrough,
    ForwardTo,
    Log,
    PipeTo,
    RemoveHeader,
    ReplyWith,
    SetHeader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mdeliver.evaluate import Run
    from mdeliver.language.syntax import Action


def plan_deed(run: Run, action: Action, also: bool) -> bool:
    """Plan ACTION; whether it disposes of the message where no ALSO stands before it."""
    if isinstance(action, ForwardTo):
        from mdeliver.actions.forward import plan_forward

        plan_forward(run, action, also)
        return True
    deed = _DEEDS.get(type(action))
    if deed is None:
        raise AssertionError(f"the checker let {type(action).__name__} through")
    deed(run, action)
    return isinstance(action, PipeTo)


def _header(run: Run, action: SetHeader | AddHeader | RemoveHeader) -> None:
    from mdeliver.actions.headers import plan_edits

    plan_edits(run, action)


def _log(run: Run, action: Log) -> None:
    from mdeliver.plan import Note

    run.add(Note(run.said(action.text), action.span.where))


def _pipe(run: Run, action: PipeTo) -> None:
    from mdeliver.actions.programs import plan_pipe

    plan_pipe(run, action)


def _reply(run: Run, action: ReplyWith) -> None:
    from mdeliver.actions.reply import plan_reply

    plan_reply(run, action)


def _filter(run: Run, action: FilterThrough) -> None:
    from mdeliver.actions.programs import plan_filter

    plan_filter(run, action)


def _run(run: Run, action: syntax.Run) -> None:
    from mdeliver.actions.programs import plan_run

    plan_run(run, action)


_DEEDS: dict[type, Callable[[Run, Any], None]] = {
    SetHeader: _header,
    AddHeader: _header,
    RemoveHeader: _header,
    Log: _log,
    ReplyWith: _reply,
    PipeTo: _pipe,
    FilterThrough: _filter,
    syntax.Run: _run,
}
"""Every kind of action that is planned here, and what plans it."""
