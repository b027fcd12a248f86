"""What a check of the mail server found, as a value.

See also  checks.py, which lists all checks; cli/audit.py, which shows findings
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal, TypeAlias

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Answer

    Level = Literal["fine", "advice", "warning", "failure"]
    Checking: TypeAlias = Callable[[Host], Iterable["Finding"]]

LEVELS = ("failure", "warning", "advice", "fine")
"""From what must be mended to what need not."""


class Finding(Record):
    """One finding.

    level    "failure": mail is lost, misfiled or misused, or a promise does not hold. "warning":
             it will be, in a case that can be named. "advice": could be better. "fine"
    what     what is so, one sentence
    why      what comes of it; "" for what is fine
    how      how to mend it; "" for what is fine
    setting  lines to paste, commands or settings; () if there is nothing to paste
    """

    level: Level
    what: str
    why: str = ""
    how: str = ""
    setting: tuple[str, ...] = ()


def unanswered(what: str, answer: Answer) -> Finding:
    """What to say where DNS did not answer: no fault of the host's, but nothing is proved."""
    return Finding(
        "advice",
        f"DNS does not say {what}: {answer.why}",
        "what is not known is not checked; other servers may get no answer, either",
        "try again, ask another server with --resolver, or look after the name servers",
    )


class Check(Record):
    """One check.

    name   stable, one word with hyphens
    group  one of GROUPS
    title  what it looks at, a few words
    run    looks, and gives its findings
    """

    name: str
    group: str
    title: str
    run: Checking
