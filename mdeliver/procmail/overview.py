"""What recipes and rules have in them: what is asked of a whole one before it is placed."""

from __future__ import annotations

from mdeliver.procmail.rules import Line, print_nodes
from mdeliver.procmail.syntax import Assignment, Block, Comment, Recipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node


def changes_message(nodes: list[Node]) -> bool:
    starts = ("set header", "add header", "remove header", "filter through", "let ", "if header")
    for node in nodes:
        if isinstance(node, Line):
            if node.text.startswith(starts):
                return True
        elif any(changes_message(branch.block) for branch in node.branches):
            return True
    return False


def set_again(node: Node, after: list[Node]) -> bool:
    """Whether NODE is a first `let` that another one replaces before anybody reads it."""
    if (
        not isinstance(node, Line)
        or not node.text.startswith("let ")
        or not node.text.endswith('""')
    ):
        return False
    name = node.text.split()[1]
    for other in after:
        if isinstance(other, Line) and other.text.startswith(f"let {name} ="):
            return True
        if any(f"{{{name}}}" in line or f"let {name} " in line for line in print_nodes([other])):
            return False
    return False


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
