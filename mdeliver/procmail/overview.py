"""What recipes and rules have in them: what is asked of a whole one before it is placed."""

from __future__ import annotations

import re

from mdeliver.procmail.rules import Branch, Choice, Line, always_ends
from mdeliver.procmail.syntax import Assignment, Block, Comment, Recipe
from mdeliver.procmail.wording import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node


_LET = re.compile(r"let (\w+) = ")

_BRACE = re.compile(r"(?<!\\)\{(?:lower )?(\w+)\}")


def changes_message(nodes: list[Node]) -> bool:
    starts = ("set header", "add header", "remove header", "filter through", "let ", "if header")
    for node in nodes:
        if isinstance(node, Line):
            if node.text.startswith(starts):
                return True
        elif any(changes_message(branch.block) for branch in node.branches):
            return True
    return False


def without_idle_lets(nodes: list[Node]) -> list[Node]:
    """NODES without the `let`s that no line behind them reads."""
    return _read_backwards(nodes, set(), True)


def _read_backwards(nodes: list[Node], read: set[str], always: bool) -> list[Node]:
    """NODES without idle `let`s; READ has what is read behind them, and takes what they read.

    always  whether every message comes here, so that a `let` ends what was read before it
    """
    ends = next((n for n, node in enumerate(nodes, 1) if always_ends([node])), len(nodes))
    kept: list[Node] = list(reversed(nodes[ends:]))
    for node in reversed(nodes[:ends]):
        if isinstance(node, Choice):
            kept.append(_choice_read(node, read))
            continue
        name = _LET.match(node.text)
        if name and name[1] not in read:
            if node.comments:
                kept.append(Line("", comments=node.comments))
            continue
        if name and always:
            read.discard(name[1])
        read.update(_BRACE.findall(node.text))
        kept.append(node)
    return list(reversed(kept))


def _choice_read(choice: Choice, read: set[str]) -> Choice:
    behind = set(read)
    branches = []
    for branch in choice.branches:
        within = set(behind)
        block = _read_backwards(branch.block, within, False)
        read |= within | set(_BRACE.findall(words(branch.condition)))
        branches.append(Branch(branch.condition, block, branch.comments))
    otherwise = choice.otherwise
    if otherwise is not None:
        within = set(behind)
        otherwise = _read_backwards(otherwise, within, False)
        read |= within
    return Choice(branches, otherwise)


def assigned(recipe: Recipe) -> set[str]:
    """The variables that RECIPE sets somewhere within."""
    found: set[str] = set()
    if isinstance(recipe.action, Block):
        for item in recipe.action.items:
            if isinstance(item, Assignment):
                found.add(item.name)
            elif isinstance(item, Recipe):
                found |= assigned(item)
    if any("\\/" in condition.text for condition in recipe.conditions):
        found.add("MATCH")
    return found


def comments_of(recipe: Recipe) -> list[str]:
    """Comments on the recipe's own lines."""
    found = [recipe.head.comment]
    found += [part.text for part in recipe.parts if isinstance(part, Comment)]
    found.append(getattr(recipe.action, "comment", ""))
    return [text for text in found if text]
