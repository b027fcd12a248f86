"""`pipe to`, `run` and `filter through`: programs that are given the message.

pipe to, run    are planned, with the message as it is by then, and run by the delivery
filter through  is run here and now, since later lines see what it makes of the message; where it
                fails the message stays as it was, and the plan and the trace say why
See also        deliver/outside.py, deliver/pipe.py
"""

from __future__ import annotations

from mdeliver import plan
from mdeliver.message import Message
from mdeliver.outside import NOT_RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.evaluate import Run
    from mdeliver.language import syntax


def plan_pipe(run: Run, action: syntax.PipeTo) -> None:
    """Plan to give the message to a program whose success is the delivery."""
    scene = run.scene
    run.add(plan.Pipe(scene.argv(action.argv), action.span.where, scene.content))


def plan_run(run: Run, action: syntax.Run) -> None:
    """Plan to give the message to a program that has no say."""
    scene = run.scene
    run.add(plan.Run(scene.argv(action.argv), action.span.where, scene.content))


def plan_filter(run: Run, action: syntax.FilterThrough) -> None:
    """Run the filter; from now on the message is what it gives back, if it gives one back."""
    scene, where = run.scene, action.span.where
    argv = scene.argv(action.argv)
    letter, how = None, NOT_RUN
    if scene.outside is not None:
        letter, how = scene.outside.filtered(argv, scene.octets(), scene.message.size)
    if letter is None:
        scene.because = f"it stays as it was: {how}"
        run.add(plan.Filter(argv, False, where, how))
        return
    scene.because = f"{scene.message.size} octets became {letter.size}"
    run.add(plan.Filter(argv, True, where))
    scene.filtered.append(letter)
    message = Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)
    scene.change(message, plan.Content(filtered=len(scene.filtered)))
