"""Rules on their way to text: statements and branches, with the comments above them.

Form       as the language's printer writes them; comments stay where they stood.
See also   converter.py, which builds them
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mdeliver.procmail.wording import All, Any, Constant, all_of, negate, readable, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.wording import Expr

_INDENT = "    "

_LONG = 120
"""Characters of a line, beyond which a condition is broken."""

_DOUBLED = 6


@dataclass
class Line:
    """A statement; `text` is "" where there are only comments.

    ends            whether it disposes of the message
    asks_who_is_new whether it stands for `formail -rD`, to which the next recipe answers
    swallows_duplicates whether it stands for `formail -D`, which fails where a message is new
    """

    text: str
    ends: bool = False
    comments: list[str] = field(default_factory=list)
    asks_who_is_new: bool = False
    swallows_duplicates: bool = False


@dataclass
class Branch:
    """A condition and its block."""

    condition: Expr
    block: list[Node]
    comments: list[str] = field(default_factory=list)


@dataclass
class Choice:
    """if, elif, else."""

    branches: list[Branch]
    otherwise: list[Node] | None = None


Node = Line | Choice


def does_something(nodes: list[Node]) -> bool:
    """Whether NODES are more than comments."""
    return any(isinstance(node, Choice) or node.text for node in nodes)


def always_ends(nodes: list[Node]) -> bool:
    """Whether every message that comes here is disposed of."""
    for node in nodes:
        if isinstance(node, Line):
            if node.ends:
                return True
        elif (
            node.otherwise is not None
            and always_ends(node.otherwise)
            and all(always_ends(branch.block) for branch in node.branches)
        ):
            return True
    return False


def tidy(nodes: list[Node]) -> list[Node]:
    """NODES without branches that do nothing."""
    made: list[Node] = []
    for node in nodes:
        if isinstance(node, Line):
            made.append(node)
        else:
            made += _tidy_choice(node)
    return made


def _tidy_choice(choice: Choice) -> list[Node]:
    """What does nothing in a chain keeps others from being tried: they get `and not` it."""
    kept: list[Branch] = []
    comments: list[Node] = []
    excluded: list[Expr] = []
    for number, branch in enumerate(choice.branches):
        if branch.condition == Constant(False):
            comments.append(Line("", comments=branch.comments))
            continue
        if branch.condition == Constant(True):
            choice = Choice(choice.branches[:number], branch.block)
            comments.append(Line("", comments=branch.comments))
            break
        block = tidy(branch.block)
        if not does_something(block):
            excluded.append(negate(branch.condition))
            said = [c for node in block if isinstance(node, Line) for c in node.comments]
            comments.append(Line("", comments=[*branch.comments, *said]))
            continue
        condition = all_of([*excluded, branch.condition])
        if condition == Constant(False) or any(condition == b.condition for b in kept):
            # Nothing that comes so far fulfils it.
            comments.append(Line("", comments=branch.comments))
            continue
        kept.append(Branch(condition, block, branch.comments))
    otherwise = tidy(choice.otherwise) if choice.otherwise is not None else None
    if otherwise is not None and not does_something(otherwise):
        comments += otherwise
        otherwise = None
    if otherwise is not None and excluded:
        if all_of(excluded) != Constant(False):
            kept.append(Branch(all_of(excluded), otherwise))
        otherwise = None
    made: list[Node] = [node for node in comments if isinstance(node, Line) and node.comments]
    if kept and kept[0].condition == Constant(True):
        made.append(Line("", comments=kept[0].comments))
        return made + kept[0].block
    if kept:
        made.append(Choice(kept, otherwise))
    elif otherwise is not None:
        made += otherwise
    return made


def print_nodes(nodes: list[Node], white: str = "") -> list[str]:
    """NODES as lines of text; what no message reaches becomes comments."""
    lines: list[str] = []
    for number, node in enumerate(nodes):
        if isinstance(node, Line):
            if node.comments and lines and lines[-1] and not white:
                lines.append("")
            lines += _comments(node.comments, white)
            if node.text:
                lines.append(white + node.text)
            elif node.comments and not white:
                lines.append("")
        else:
            if lines and lines[-1] and not lines[-1].lstrip().startswith("#"):
                lines.append("")
            lines += _print_choice(node, white)
        if always_ends([node]) and does_something(nodes[number + 1 :]):
            rest = print_nodes(nodes[number + 1 :], white)
            while not rest[-1]:
                rest.pop()
            lines += [f"{white}# not reached: what stands above ends the rules."]
            return [*lines, *[f"{white}#   {line.removeprefix(white)}".rstrip() for line in rest]]
    return lines


def _print_choice(choice: Choice, white: str) -> list[str]:
    lines: list[str] = []
    opening = ""
    for branch in choice.branches:
        lines += _comments(branch.comments, white)
        lines += _broken(f"{white}{opening}if ", branch.condition, white)
        lines += print_nodes(branch.block, white + _INDENT)
        opening = "el"
    if choice.otherwise is not None:
        lines.append(f"{white}else:")
        lines += print_nodes(choice.otherwise, white + _INDENT)
    if not white:
        lines.append("")
    return lines


def _broken(opening: str, condition: Expr, white: str) -> list[str]:
    """A condition after OPENING; a long one has a line for each of its parts."""
    line = f"{opening}{words(condition)}:"
    if len(line) <= _LONG or not isinstance(condition, All | Any):
        return [line]
    joint = "and" if isinstance(condition, All) else "or"
    first, *rest = [words(part, joint) for part in condition.parts]
    more = [f"{white}{_INDENT * 2}{joint} {part}" for part in rest]
    return [opening + first, *more[:-1], f"{more[-1]}:"]


def as_text(lines: list[str]) -> str:
    """LINES as a file: no control characters in comments, no two empty lines together."""
    made: list[str] = []
    for line in lines:
        if line.lstrip().startswith("#"):
            line = "".join([c if c.isprintable() or c == "\t" else "?" for c in readable(line)])
        if line or (made and made[-1]):
            made.append(line)
    while made and not made[-1]:
        made.pop()
    return "".join([f"{line}\n" for line in made])


def _comments(comments: list[str], white: str) -> list[str]:
    return [f"{white}#{comment}".rstrip() for comment in comments]


def may_end(node: Node) -> bool:
    """Whether some message is disposed of in NODE."""
    if isinstance(node, Line):
        return node.ends
    blocks = [*[branch.block for branch in node.branches], node.otherwise or []]
    return any(may_end(inner) for block in blocks for inner in block)


def as_copies(nodes: list[Node], doubled: int = 0) -> list[Node]:
    """NODES as what a clone does: every delivery is a copy, and ends only the clone's own rules.

    doubled  how often what follows was written twice already
    Raises   ValueError where that would have to be done again and again
    """
    if doubled > _DOUBLED:
        raise ValueError("a copy that goes on behind too many deliveries")
    made: list[Node] = []
    for number, node in enumerate(nodes):
        rest = nodes[number + 1 :]
        if isinstance(node, Line):
            if not node.ends:
                made.append(node)
                continue
            copied = node.text
            if copied.startswith(("discard", "reject", "defer")):
                # Nobody asks what a clone ends with.
                copied = ""
            elif not copied.startswith("also "):
                copied = f"also {copied}"
            made.append(Line(copied, False, node.comments))
            return made
        if not may_end(node):
            made.append(node)
            continue
        goes_on = any(not always_ends(branch.block) for branch in node.branches)
        deeper = doubled + (goes_on and bool(rest))
        branches = []
        for branch in node.branches:
            block = branch.block if always_ends(branch.block) else [*branch.block, *rest]
            branches.append(Branch(branch.condition, as_copies(block, deeper), branch.comments))
        otherwise = [*(node.otherwise or []), *rest]
        made.append(Choice(branches, as_copies(otherwise, deeper) if otherwise else None))
        return made
    return made
