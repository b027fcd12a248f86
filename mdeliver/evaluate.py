"""Run a checked program over one message: what to do, and why. Nothing is done here.

Pure        the same program, message, envelope, site and time give the same Decision.
Order       statements from top to bottom; an action without `also` that disposes of the message
            ends the rules, and what no rule took goes to the inbox.
Places      named twice are one copy with the flags of both, the implicit inbox included.
Three-valued  a condition is true, false or not known yet (None); a rule whose outcome hangs on what
            is not known defers the message, and a deferred message has none of its deliveries done.
Trusts      the checker: what it refuses (names that are unset, conditions and actions that this
            version does not have) is an AssertionError here, and so a deferral at the edge.
Asks        `outside` what no message can tell: what programs say, what was delivered before.
"""

from __future__ import annotations

from mdeliver import limits, plan
from mdeliver.actions.places import FLAGS, left_out, places
from mdeliver.conditions.facts import addressed_to_me, sent_by_me
from mdeliver.conditions.texts import compare
from mdeliver.language.syntax import (
    AddressedToMe,
    And,
    Authentication,
    Automatic,
    Defer,
    Discard,
    Do,
    DuplicateWithin,
    FileTo,
    If,
    Inbox,
    InboxTarget,
    Include,
    Keep,
    Let,
    Mailbox,
    MailingList,
    Mark,
    MeIs,
    Not,
    Or,
    ProgramSucceeds,
    Reject,
    SentByMe,
    Test,
)
from mdeliver.outcome import split_status
from mdeliver.plan import Decision, Plan, Step, Verdict
from mdeliver.scene import Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from mdeliver.conditions.prefilter import Prefilter
    from mdeliver.envelope import Envelope
    from mdeliver.language.syntax import Action, Expr, Program, Statement, Target, Text
    from mdeliver.message import Message
    from mdeliver.outside import Outside
    from mdeliver.settings import Site

REJECTED = "5.7.1 refused by the recipient's rules"
"""Said by a `reject` without words of its own."""

DEFERRED = "4.3.0 deferred by the recipient's rules"
"""Said by a `defer` without words of its own."""


def evaluate(
    program: Program,
    message: Message,
    envelope: Envelope,
    site: Site,
    now_s: float,
    *,
    explain: bool,
    outside: Outside | None = None,
    prefilter: Prefilter | None = None,
) -> Decision:
    """Decide what becomes of MESSAGE.

    now_s    time of arrival, seconds since 1970
    explain  whether the Decision has a trace; a delivery does without
    outside  who runs programs and remembers; without it no program is run (what hangs on one is
             not known) and nothing was delivered before
    prefilter  of this program, in a process that runs it over many messages
    """
    scene = Scene(message, envelope, site, now_s, explain, outside)
    scene.tables, scene.replies = program.tables, program.replies
    run = Run(scene, None if explain else prefilter)
    if envelope.sent_tag.tag and not envelope.sent_tag.proof:
        # For the log: somebody's table is old, or somebody tries.
        run.add(plan.Note(f"not taken for a sent copy: {envelope.sent_tag.words}", None))
    if site.checking.compute == "always":
        from mdeliver.authentication.wording import METHODS
        from mdeliver.conditions.authenticated import know

        know(scene, *METHODS)
    verdict = run.statements(program.statements, 0)
    if verdict is None:
        run.file((InboxTarget(None),), (), None)  # type: ignore[arg-type]  # stands in no file
        verdict = Verdict("deliver", "", "", None)
    actions = () if verdict.fate == "defer" else tuple(run.actions.values())
    filtered, remember = tuple(scene.filtered), tuple(scene.remember)
    authentication = scene.authentication.text if scene.authentication is not None else ""
    # With it the scene and the run would keep each other, and the message.
    del scene.add
    made = Plan(actions, verdict, filtered, remember, tuple(run.fired), authentication)
    return Decision(made, tuple(run.trace))


class Run:
    """One evaluation under way."""

    __slots__ = ("actions", "fired", "prefilter", "scene", "trace")

    def __init__(self, scene: Scene, prefilter: Prefilter | None = None) -> None:
        self.scene = scene
        self.prefilter = prefilter
        scene.add = self.add
        self.actions: dict[str | int, plan.Action] = {}
        """What is to be done, in the order of the rules; what is filed, by its path."""
        self.fired: list[str] = []
        """The place of every action that was reached."""
        self.trace: list[Step] = []

    def statements(self, statements: tuple[Statement, ...], depth: int) -> Verdict | None:
        """Run STATEMENTS; how the rules ended if they did."""
        scene, prefilter = self.scene, self.prefilter
        for statement in statements:
            if id(statement) in scene.ruled_out:
                continue
            match statement:
                case If():
                    if prefilter is not None and not prefilter.may_hold(statement, scene):
                        continue
                    verdict = self.branches(statement, depth)
                    if verdict is not None:
                        return verdict
                case Do():
                    scene.because = ""
                    verdict = self.action(statement.action, statement.also)
                    if scene.explain:
                        self.note(statement, depth, "done")
                    if verdict is not None:
                        return verdict
                case Let():
                    scene.lets[statement.name] = scene.values(statement.values)
                    scene.because = ""
                    if scene.explain:
                        self.note(statement, depth, "done")
                case Mailbox():
                    scene.mailboxes[statement.name] = statement.store
                case Inbox():
                    # `inbox` within its own definition is what it was before.
                    scene.inbox = tuple(
                        [
                            inner
                            for target in statement.targets
                            for inner in (
                                scene.inbox if isinstance(target, InboxTarget) else (target,)
                            )
                        ]
                    )
                case MeIs():
                    # `me` within its own definition is what it was before.
                    scene.me = scene.values(statement.values)
                case Include():
                    verdict = self.statements(statement.body or (), depth)
                    if verdict is not None:
                        return verdict
                case _:
                    raise AssertionError(f"{type(statement).__name__} is no statement")
        return None

    def branches(self, statement: If, depth: int) -> Verdict | None:
        """if, elif, else: the first branch that holds is run."""
        scene = self.scene
        before = scene.captures
        taken = False
        verdict: Verdict | None = None
        for branch in statement.branches:
            if taken:
                self.note(branch, depth, "skipped", branch is not statement.branches[0])
                continue
            scene.because = ""
            held = holds(scene, branch.condition)
            if scene.explain:
                result: Any = "unknown" if held is None else "yes" if held else "no"
                self.note(branch, depth, result, branch is not statement.branches[0])
            if held is None:
                why = f" ({scene.because})" if scene.because else ""
                text = f"not known yet: what {branch.span.where} asks for{why}"
                return Verdict("defer", "4.3.0", text, branch.span.where)
            if held:
                taken = True
                verdict = self.statements(branch.block, depth + 1)
                scene.captures = before
                if not scene.explain:
                    return verdict
        if statement.otherwise is not None:
            if scene.explain:
                # An else has no place of its own; its first line's is the nearest.
                place = (statement.otherwise or (statement,))[0].span.where
                result = "skipped" if taken else "yes"
                self.trace.append(Step(place, depth, "else", result, ""))
            if not taken:
                return self.statements(statement.otherwise, depth + 1)
        return verdict

    def action(self, action: Action, also: bool) -> Verdict | None:
        """Plan ACTION; the verdict if it disposes of the message."""
        where = action.span.where
        self.fired.append(where)
        match action:
            case FileTo():
                self.file(action.targets, action.flags, where)
            case Keep():
                self.file((InboxTarget(action.span),), action.flags, where)
            case Discard():
                return Verdict("discard", "", "", where)
            case Reject():
                words = self.said(action.text) if action.text else REJECTED
                return Verdict("reject", *split_status(words, "5.7.1"), where)
            case Defer():
                words = self.said(action.text) if action.text else DEFERRED
                return Verdict("defer", *split_status(words, "4.3.0"), where)
            case Mark():
                marks = self.scene.marks + action.flags
                self.scene.marks = tuple([flag for flag in FLAGS if flag in marks])
                return None
            case _:
                from mdeliver.actions.deeds import plan_deed

                if not plan_deed(self, action, also):
                    return None
        return None if also else Verdict("deliver", "", "", where)

    def said(self, text: Text) -> str:
        """TEXT for a reply or a log, where the megabytes of a message have no place."""
        return self.scene.words(text)[: limits.SAID_TEXT]

    def add(self, action: plan.Action) -> None:
        """Plan ACTION, which is no copy in a place."""
        self.actions[len(self.actions)] = action

    def file(self, targets: tuple[Target, ...], flags: tuple[str, ...], rule: str | None) -> None:
        """Plan copies in TARGETS; a place named before gets the flags of both."""
        scene = self.scene
        if scene.explain:
            self.tell_left_out(targets, rule)
        for place in places(scene, targets, flags + scene.marks, rule):
            if place.folder == scene.site.sent_folder and place.store == "maildir":
                place = place.replace(once=sent_by_me(scene))
                scene.because = ""  # nobody asked
            known = self.actions.get(place.path)
            if isinstance(known, plan.File):
                both = tuple([f for f in FLAGS if f in known.flags or f in place.flags])
                place = known.replace(flags=both, content=scene.content)
                if known.content is not scene.content:
                    # It stands after what changed the message meanwhile.
                    del self.actions[place.path]
            elif scene.content is not plan.AS_IT_CAME:
                place = place.replace(content=scene.content)
            self.actions[place.path] = place

    # --- the trace ---------------------------------------------------------------------------

    def tell_left_out(self, targets: tuple[Target, ...], rule: str | None) -> None:
        """Explain why an mbox of the inbox is not among the places."""
        for path in left_out(self.scene, targets):
            words = f'no copy in {path}: pop3_gets is "nothing"'
            self.trace.append(Step(rule or "inbox", 0, words, "done", ""))

    def note(
        self,
        statement: Any,
        depth: int,
        result: Literal["yes", "no", "unknown", "done", "skipped"],
        again: bool = False,
    ) -> None:
        """Add a line to the explanation; AGAIN: the branch is an elif."""
        from mdeliver.language.printer import line_of

        because = self.scene.because if result != "skipped" else ""
        words = line_of(statement)
        source = f"el{words}" if again else words
        self.trace.append(Step(statement.span.where, depth, source, result, because))


def holds(scene: Scene, expression: Expr) -> bool | None:
    """Whether EXPRESSION holds; None where only a later try can know.

    Left to right, no further than needed. Captures stay set only where it holds.
    """
    kind = _KINDS.get(type(expression))
    if kind is None:
        raise AssertionError(f"the checker let {type(expression).__name__} through")
    before = scene.captures
    held = kind(scene, expression)
    if held is not True:
        scene.captures = before
    return held


def _all(scene: Scene, expression: And) -> bool | None:
    return _settled(scene, expression.operands, by=False)


def _any(scene: Scene, expression: Or) -> bool | None:
    return _settled(scene, expression.operands, by=True)


def _settled(scene: Scene, operands: tuple[Expr, ...], *, by: bool) -> bool | None:
    """BY if any of OPERANDS is, whatever the others; its opposite if none can be; else unknown."""
    result: bool | None = not by
    reasons: list[str] = []
    for operand in operands:
        held = holds(scene, operand)
        if held is by:
            return by
        if held is None:
            if result is not None:
                reasons.clear()
            result = None
        if held is result:
            reasons.append(scene.because)
    scene.because = "; ".join(reasons)
    return result


def _none(scene: Scene, expression: Not) -> bool | None:
    before = scene.captures
    held = holds(scene, expression.operand)
    # What a test found that must not hold is nobody's capture.
    scene.captures = before
    return None if held is None else not held


def _automatic(scene: Scene, _fact: Automatic) -> bool:
    from mdeliver.conditions.automatic import automatic

    return automatic(scene)


def _authenticated(scene: Scene, fact: Authentication) -> bool | None:
    from mdeliver.conditions.authenticated import authenticated

    return authenticated(scene, fact)


def _duplicate(scene: Scene, fact: DuplicateWithin) -> bool | None:
    from mdeliver.conditions.duplicate import duplicate

    return duplicate(scene, fact)


def _program(scene: Scene, fact: ProgramSucceeds) -> bool | None:
    from mdeliver.conditions.programs import succeeds

    return succeeds(scene, fact)


def _mailing_list(scene: Scene, _fact: MailingList) -> bool:
    from mdeliver.conditions.automatic import mailing_list

    return mailing_list(scene)


_KINDS: dict[type, Callable[[Scene, Any], bool | None]] = {
    And: _all,
    Or: _any,
    Not: _none,
    Test: compare,
    SentByMe: lambda scene, _fact: sent_by_me(scene),
    AddressedToMe: lambda scene, _fact: addressed_to_me(scene),
    Authentication: _authenticated,
    Automatic: _automatic,
    DuplicateWithin: _duplicate,
    MailingList: _mailing_list,
    ProgramSucceeds: _program,
}
"""Every kind of condition and what decides it."""
