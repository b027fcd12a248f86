"""The rules of one block under way, and how a recipe hangs on those before it.

A, a   the recipe goes into the block of the last one without these flags
E      it becomes the next `elif` of the chain; where a recipe with A came between, its condition
       says so in words
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdeliver.procmail.rules import Branch, Choice, Line
from mdeliver.procmail.wording import Constant, all_of, negate

if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node
    from mdeliver.procmail.syntax import Recipe
    from mdeliver.procmail.wording import Expr


class Anchor:
    """The recipe that A and a ask about.

    block            where what hangs on it goes
    condition        its own
    lost             the recipe, where it was not carried over
    asks_who_is_new  whether it is `formail -rD`: the `e` behind it answers
    """

    def __init__(self, block: list[Node], condition: Expr, lost: Recipe | None) -> None:
        self.block = block
        self.condition = condition
        self.lost = lost
        self.asks_who_is_new = False


class Level:
    """One block: its rules so far, the comments for the next one, the chains."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.comments: list[str] = []
        self.anchor: Anchor | None = None
        self.chain: Choice | None = None
        """The chain that an `elif` can go on."""
        self.earlier: list[Expr] = []
        """The conditions of the chain so far."""
        self.chain_lost: Recipe | None = None
        self.takes_all: Recipe | None = None
        """The recipe behind which nothing comes any more."""
        self.told_unreached = False
        self.closed = False
        """Whether nothing behind is read any more (SWITCHRC)."""

    def attach(self, flags: str, expr: Expr, nodes: list[Node], comments: list[str]) -> None:
        """Add the rules NODES of a recipe with FLAGS that holds where EXPR does."""
        if set(flags) & {"A", "a"} and "E" in flags and self.anchor is not None:
            excluded = [negate(earlier) for earlier in self.earlier]
            anchor = self.anchor
            condition = all_of([anchor.condition, *excluded, expr])
            self._new(condition, nodes, comments)
            # What A asks about is the last recipe without it.
            self.anchor = anchor
            self.chain = None
            self.earlier.append(condition)
        elif set(flags) & {"A", "a", "e"}:
            self._below(expr, nodes, comments)
        elif "E" in flags and self.earlier:
            self._else(expr, nodes, comments)
        else:
            self.chain_lost = None
            self.earlier = [expr]
            self.chain = self._new(expr, nodes, comments)

    def _new(self, expr: Expr, nodes: list[Node], comments: list[str]) -> Choice | None:
        """A rule of its own; the chain that it may begin."""
        if expr == Constant(True):
            self.nodes += commented(nodes, comments)
            self._anchor(self.nodes, expr, nodes)
            return None
        block = list(nodes)
        choice = Choice([Branch(expr, block, comments)])
        if expr == Constant(False):
            self.nodes.append(Line("", comments=[*comments, " This never holds, as in procmail."]))
        else:
            self.nodes.append(choice)
        self._anchor(block, expr, nodes)
        return choice

    def _anchor(self, block: list[Node], expr: Expr, nodes: list[Node]) -> None:
        self.anchor = Anchor(block, expr, None)
        self.anchor.asks_who_is_new = any(
            isinstance(node, Line) and node.asks_who_is_new for node in nodes
        )

    def _else(self, expr: Expr, nodes: list[Node], comments: list[str]) -> None:
        if Constant(True) in self.earlier:
            self.nodes.append(
                Line("", comments=[*comments, " This is never tried, as in procmail."])
            )
            self.anchor = Anchor([], Constant(False), None)
            return
        if self.chain is not None and self.chain in self.nodes:
            block = list(nodes)
            if expr == Constant(True):
                self.chain.otherwise = commented(block, comments)
                block = self.chain.otherwise
                self.chain = None
            else:
                self.chain.branches.append(Branch(expr, block, comments))
            self._anchor(block, expr, nodes)
        else:
            excluded = [negate(earlier) for earlier in self.earlier]
            self._new(all_of([*excluded, expr]), nodes, comments)
            self.chain = None
        self.earlier.append(expr)

    def _below(self, expr: Expr, nodes: list[Node], comments: list[str]) -> None:
        """Into the block of the recipe that A asks about."""
        if self.anchor is None:
            # Nothing before it matched: it is never tried.
            self.nodes.append(
                Line("", comments=[*comments, " This is never tried, as in procmail."])
            )
            return
        block = self.anchor.block
        if expr == Constant(True):
            block += commented(nodes, comments)
        else:
            block.append(Choice([Branch(expr, list(nodes), comments)]))
        self.chain = None
        self.earlier = [all_of([self.anchor.condition, expr])]


def commented(nodes: list[Node], comments: list[str]) -> list[Node]:
    """NODES with COMMENTS above the first."""
    if nodes and isinstance(nodes[0], Line):
        first = nodes[0]
        return [Line(first.text, first.ends, [*comments, *first.comments]), *nodes[1:]]
    return [Line("", comments=comments), *nodes]
