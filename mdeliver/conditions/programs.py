"""`program "NAME" "ARG" … succeeds`: what a program says of the message on its standard input.

yes      exit status 0
unknown  75 (EX_TEMPFAIL), 126 and 127 (it cannot be run, or is not there), a signal, a time-out;
         and in a dry run without --run-programs
no       any other exit status
See also  deliver/outside.py, which runs it
"""

from __future__ import annotations

from mdeliver.outside import NOT_RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import ProgramSucceeds
    from mdeliver.scene import Scene


def succeeds(scene: Scene, fact: ProgramSucceeds) -> bool | None:
    """Whether the program of FACT says yes; None where a later try may know."""
    argv = scene.argv(fact.argv)
    answer, how = None, NOT_RUN
    if scene.outside is not None:
        answer, how = scene.outside.succeeds(argv, scene.octets())
    # Kept even where nothing is explained: a deferral tells the administrator why.
    scene.because = f'program "{argv[0]}": {how}'
    return answer
