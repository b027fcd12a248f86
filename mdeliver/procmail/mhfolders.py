"""What to do with folders of MH, which no rule files into: two ways, each ready to be used.

A Maildir  in the folder's place, for IMAP; and the commands, for once, that make one of the folder
           that is there. Messages keep their dates, and lose the From_ line that procmail left.
rcvstore   of nmh, for who goes on with MH tools: it files where procmail did, needs nmh's own
           ~/.mh_profile (install-mh), and while it fails the message stays in the queue.
See also   converter.py; mh-mail(5), rcvstore(1)
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mdeliver.procmail.rules import Branch, Choice, Line, print_nodes
from mdeliver.procmail.wording import END, REF, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node
    from mdeliver.procmail.wording import Expr

RCVSTORE = "/usr/lib/mh/rcvstore"
"""Where Debian's nmh has it."""

_HOME = f"{REF}home{END}"

_MAKE_MAILDIRS = """\
for d in {folders}; do (
    cd "$d" && mkdir -p cur new tmp && for n in [0-9]*; do
        case $n in *[!0-9]*) continue;; esac
        sed '1{{/^From /d;}}' "$n" >"tmp/$n" && touch -r "$n" "tmp/$n" &&
            mv "tmp/$n" "cur/$n.mh.$(hostname):2,S" && rm "$n"
    done
) done"""


def ways(filed: Sequence[Node], folders: Sequence[str], within: Expr | None) -> list[str]:
    """The lines of a comment, each without its `#`.

    filed    what files into Maildirs in place of FOLDERS
    folders  their paths, with references
    within   the condition of both, None for none
    """
    lines = [" With a Maildir in its place:", *_printed(filed, within)]
    plain = [_in_a_shell(folder) for folder in folders]
    if all(plain):
        lines.append(" and, once, in a shell, for the mail that is there:")
        script = _MAKE_MAILDIRS.format(folders=" ".join(plain))
        lines += [f"   {line}" for line in script.split("\n")]
    lines.append(" For MH tools, by nmh, once install-mh has been run:")
    copies = any(isinstance(node, Line) and node.text.startswith("also ") for node in filed)
    piped = [f'pipe to "{RCVSTORE}" {quote(f"+{folder}")}' for folder in folders]
    nodes = [Line(f"also {line}") for line in piped]
    if not copies:
        nodes[-1] = Line(piped[-1], True)
    return [*lines, *_printed(nodes, within)]


def _printed(nodes: Sequence[Node], within: Expr | None) -> list[str]:
    shown: list[Node] = list(nodes)
    if within is not None:
        shown = [Choice([Branch(within, shown)])]
    return [f"   {line}" for line in print_nodes(shown) if line]


def _in_a_shell(folder: str) -> str:
    """The folder's path in a shell of the user, "" where each message has one of its own."""
    if folder.startswith(_HOME + "/"):
        below = folder[len(_HOME) + 1 :]
        return "" if REF in below else f"~/{shlex.quote(below)}"
    return "" if REF in folder else shlex.quote(folder)
