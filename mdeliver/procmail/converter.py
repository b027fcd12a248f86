"""A procmailrc as rules of mdeliver: what a person would have written, and a report of the rest.

Executes    nothing of the file. Reads the files that INCLUDERC and SWITCHRC name.
Order       as in the file: one `if` for each recipe, `elif` for chains of E, what A asks for
            within its recipe's block; comments where they stood; the original above what is not
            obvious.
Lost        what has no words is a comment that says so, and an Entry of the report.
See also    convertconditions.py, convertactions.py, assignments.py; MIGRATING.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdeliver.procmail import mhfolders
from mdeliver.procmail.assignments import Assignments, let_name
from mdeliver.procmail.convertactions import DUPLICATES, Actions
from mdeliver.procmail.convertconditions import RecipeConditions
from mdeliver.procmail.definitions import definitions_for
from mdeliver.procmail.folders import MH, NOBODY, Mailboxes, Whose
from mdeliver.procmail.level import Anchor, Level
from mdeliver.procmail.overview import assigned, changes_message, comments_of, without_idle_lets
from mdeliver.procmail.pattern import TooDeep
from mdeliver.procmail.report import Converted, Entry
from mdeliver.procmail.rules import (
    Line,
    always_ends,
    as_copies,
    as_text,
    print_nodes,
    tidy,
)
from mdeliver.procmail.special import mark_of, swallows_duplicates, tells_duplicates
from mdeliver.procmail.symbols import Symbols, Unsaid
from mdeliver.procmail.syntax import (
    Assignment,
    Block,
    Brace,
    Comment,
    File,
    Recipe,
    Skipped,
    leaves,
)
from mdeliver.procmail.wording import (
    Constant,
    Fact,
    Test,
    Unsayable,
    all_of,
    captures,
    quote,
    ref,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.procmail.rules import Node
    from mdeliver.procmail.syntax import Item
    from mdeliver.procmail.wording import Expr

FOLD = "\\\n"

_TRIES = 8
"""How often a file is converted again with a `let` more."""


def convert_procmailrc(
    file: File,
    read_file: Callable[[str], str | None],
    *,
    allow_shell: bool = False,
    whose: Whose = NOBODY,
    filters_succeed: bool = False,
) -> Converted:
    """FILE as rules.

    whose        user and home directory, where it is one user's file
    filters_succeed  whether what is done where a filter fails is left out
    read_file    gives the text of an included file by its path (`~/` is home), None without one
    allow_shell  whether commands that need a shell become `sh -c`
    """
    lets: dict[str, frozenset[str]] = {}
    useless: set[str] = set()
    tries = 0
    while True:
        converter = Converter(file, read_file, allow_shell, whose, lets)
        converter.filters_succeed = filters_succeed
        converted = converter.convert()
        useless |= {name for name in lets if f"{{{let_name(name)}}}" not in converted.text}
        wanted = (converter.symbols.wanted | set(lets)) - useless
        tries += 1
        if wanted == set(lets) or tries == _TRIES:
            return converted
        lets = {name: frozenset(converter.assigned.get(name, ())) for name in wanted}


class Converter:
    """One conversion under way.

    lets  the variables that are carried from rule to rule, and the values that they get
    """

    def __init__(
        self,
        file: File,
        read_file: Callable[[str], str | None],
        allow_shell: bool,
        whose: Whose,
        lets: dict[str, frozenset[str]],
    ) -> None:
        self.file = file
        self.read_file = read_file
        self.allow_shell = allow_shell
        self.lets = lets
        self.symbols = Symbols()
        self.mailboxes = Mailboxes(whose)
        self.actions = Actions(self.mailboxes, allow_shell)
        self.filters_succeed = False
        self.entries: list[Entry] = []
        self.findings = list(file.findings)
        self.assigned: dict[str, set[str]] = {}
        """All values that each variable gets."""
        self.assignments = Assignments(self)
        self.including: list[str] = [file.name]

    def convert(self) -> Converted:
        level = Level()
        self.assignments.first_lets(level)
        self.items(self.file.items, level)
        nodes = tidy([*level.nodes, *self.assignments.at_the_end()])
        nodes = tidy(without_idle_lets(nodes))
        body = print_nodes([*nodes, Line("", comments=level.comments)])
        body = [*print_nodes(definitions_for(body)), *body]
        if self.mailboxes.inbox is None:
            self.mailboxes.set_default(f"/var/mail/{ref('user')}")
        lines = [f"# Converted from {self.file.name} by mdeliver convert procmailrc."]
        if self.assignments.not_needed:
            names = ", ".join(dict.fromkeys(self.assignments.not_needed))
            lines += _wrapped(f"Not needed here: {names}.")
        lines += ["", *self.mailboxes.definitions(body), "", *body]
        return Converted(as_text(lines), tuple(self.entries), tuple(self.findings))

    def note(self, level: str, item: Item, what: str, why: str, todo: str = "") -> None:
        """Add an entry to the report."""
        self.entries.append(Entry(level, item.span, what, why, todo))  # type: ignore[arg-type]

    # --- items

    def items(self, items: tuple[Item, ...], level: Level) -> None:
        for item in items:
            match item:
                case Comment(text):
                    if text:
                        level.comments.append(text)
                case Assignment():
                    self.assignments.one(item, level)
                    if item.comment:
                        level.comments.append(item.comment)
                case Recipe():
                    self.recipe(item, level)
                case Skipped(source) if source.strip():
                    level.comments.append(f" procmail skips this: {_first_line(source)}")
                case Brace():
                    level.comments.append(" procmail skips this: }")
            if level.closed:
                return

    # --- recipes

    def recipe(self, recipe: Recipe, level: Level) -> None:
        comments = [*level.comments, *comments_of(recipe)]
        level.comments = []
        before = self.symbols.copy()
        try:
            self.one_recipe(recipe, level, comments)
        except (Unsayable, TooDeep, ValueError) as error:
            self.symbols.values = before.values
            self.lose(recipe, level, comments, str(error))

    def lose(self, recipe: Recipe, level: Level, comments: list[str], why: str) -> None:
        """RECIPE has no words: it becomes a comment and an entry."""
        from mdeliver.procmail.advice import advice

        todo = advice(why, recipe)
        first = recipe.head.source.strip().split("\n")[0]
        self.note("lost", recipe, first, why, todo)
        lines = "".join(leaves((recipe,))).strip("\n").split("\n")
        said = [f" NOT CARRIED OVER: {why}.", *[f"   {line.rstrip()}" for line in lines]]
        if why == MH:
            said += self.with_a_maildir(recipe)
        level.nodes.append(Line("", comments=[*comments, *said]))
        flags = recipe.head.flags
        if not set(flags) & {"A", "a"}:
            level.anchor = Anchor([], Constant(False), lost=recipe)
        level.chain = None
        level.chain_lost = recipe
        for name in assigned(recipe):
            self.symbols.values[name] = Unsaid(
                f"${name} is set in {recipe.span.where}, which is not carried over"
            )

    def with_a_maildir(self, recipe: Recipe) -> list[str]:
        """The rules that come nearest to RECIPE, which files into a folder of MH, as comments."""
        folders = self.mailboxes.mh = []
        try:
            condition = RecipeConditions(recipe, self.symbols, self.allow_shell).expr()
            lines: list[Node] = list(self.actions.lines(recipe, self.symbols))
        except Unsayable:
            return []
        finally:
            self.mailboxes.mh = None
        if condition == Constant(False):
            return []
        return mhfolders.ways(lines, folders, None if condition == Constant(True) else condition)

    def one_recipe(self, recipe: Recipe, level: Level, comments: list[str]) -> None:
        flags = recipe.head.flags
        if recipe.action is None:
            level.comments += [*comments, " procmail finds no action in this recipe."]
            return
        self.depends_on_lost(flags, level)
        failed = self.failed(level) if "e" in flags else Constant(True)
        matched = self.symbols.values.get("MATCH", "")
        if set(flags) & {"A", "a"} and level.anchor and captures(level.anchor.condition):
            self.symbols.values["MATCH"] = ref("1")
        conditions = RecipeConditions(recipe, self.symbols, self.allow_shell)
        conditions_alone = all_of([failed, conditions.expr()])
        nodes, expr = self.body(recipe, conditions_alone)
        unclear = conditions.unclear
        if expr == Constant(False):
            unclear = [condition.text for condition in recipe.conditions]
        comments = [*comments, *self.quoted(recipe, unclear)]
        for text in (*conditions.differs, *self.actions.differs):
            self.note("differs", recipe, "", text)
        self.actions.differs = []
        level.attach(flags, expr, nodes, comments)
        self.note_unreached(recipe, level, always_ends(nodes) and expr == Constant(True))
        if any(isinstance(node, Line) and node.swallows_duplicates for node in nodes):
            # Mail that is no duplicate goes on behind a recipe that matched and failed.
            level.chain, level.earlier = None, [conditions_alone]
            level.anchor = Anchor([], Constant(False), lost=recipe)
        if set(flags) & {"A", "a"}:
            self.symbols.values["MATCH"] = matched
        if captures(expr):
            self.match_behind(recipe, level)
        elif self.symbols.values.get("MATCH") == ref("1") != matched:
            # A condition before the one that never holds may have set it.
            self.symbols.values["MATCH"] = Unsaid("$MATCH of a recipe further up")

    def note_unreached(self, recipe: Recipe, level: Level, takes_all: bool) -> None:
        """Say once that RECIPE stands behind one that takes all mail; TAKES_ALL: it does so."""
        before = level.takes_all
        if before is not None and not level.told_unreached:
            level.told_unreached = True
            why = (
                f"{before.span.where} takes all mail; procmail comes here only where that fails,"
                " here the mail stays in the queue then"
            )
            self.note("differs", recipe, "not reached", why)
        if takes_all and before is None and not set(recipe.head.flags) & set("AaEe"):
            level.takes_all = recipe

    def quoted(self, recipe: Recipe, unclear: list[str]) -> list[str]:
        """The conditions and formail calls of RECIPE that the rule does not say word by word."""
        from mdeliver.procmail.syntax import Pipe

        made = [f" procmail: * {_first_line(text)}" for text in unclear]
        if isinstance(recipe.action, Pipe) and "formail" in recipe.action.command:
            made.append(
                f" procmail: | {' '.join(recipe.action.command.replace(FOLD, ' ').split())}"
            )
        return made

    def match_behind(self, recipe: Recipe, level: Level) -> None:
        """MATCH behind a recipe that set it: carried over by a `let`, if somebody asks for it.

        Where there are other conditions procmail sets it though one of them may not hold.
        """
        if len(recipe.conditions) > 1 or set(recipe.head.flags) & set("AaEe"):
            self.symbols.values["MATCH"] = Unsaid("$MATCH of a recipe further up")
        elif "MATCH" not in self.lets:
            self.symbols.values["MATCH"] = Unsaid("$MATCH of a recipe further up", "MATCH")
        elif level.anchor is not None:
            level.anchor.block.insert(0, Line('let match = "{1}"'))
            self.symbols.values["MATCH"] = ref("match")

    def depends_on_lost(self, flags: str, level: Level) -> None:
        lost = None
        if set(flags) & {"A", "a"} and level.anchor is not None:
            lost = level.anchor.lost
        if set(flags) & {"E", "e"}:
            lost = lost or level.chain_lost
        if lost is not None:
            raise Unsayable(
                f"it hangs on the recipe in {lost.span.where}, which is not carried over"
            )

    def failed(self, level: Level) -> Expr:
        """Whether the recipe before the next one, which has `e`, failed. Raises Unsayable."""
        anchor = level.anchor
        if anchor is not None and anchor.asks_who_is_new:
            # It answers those who are new to the `formail -rD` before it.
            return Constant(True)
        place, header = mark_of(anchor.block) if anchor is not None else (0, "")
        if header and self.filters_succeed:
            return Constant(False)
        if anchor is None or not header:
            raise Unsayable("done only where the recipe before it fails")
        # What the message came with says nothing.
        anchor.block.insert(place, Line(f"remove header {quote(header)}"))
        return Test(f"header {quote(header)}", "exists", (), negated=True)

    # --- what a recipe does

    def body(self, recipe: Recipe, expr: Expr) -> tuple[list[Node], Expr]:
        """What RECIPE does, and its condition with what an idiom adds to it."""
        if isinstance(recipe.action, Block):
            return self.block(recipe, recipe.action, expr), expr
        from mdeliver.procmail.syntax import Pipe

        if isinstance(recipe.action, Pipe):
            if recipe.action.capture:
                self.assignments.capture(recipe, recipe.action)
                return [], expr
            kind = tells_duplicates(recipe, recipe.action, self.symbols)
            if kind == "reply":
                return [Line("", asks_who_is_new=True)], expr
            if kind == "message":
                held = all_of([expr, Fact(DUPLICATES)])
                if swallows_duplicates(recipe):
                    return [Line("discard", True, swallows_duplicates=True)], held
                return [], held
        nodes: list[Node] = list(self.actions.lines(recipe, self.symbols))
        return self.assignments.with_exitcode(nodes), expr

    def block(self, recipe: Recipe, block: Block, expr: Expr) -> list[Node]:
        """The rules in `{ … }`."""
        level = Level()
        # A recipe with A at the beginning of a block asks for the block's own condition.
        level.anchor = Anchor(level.nodes, Constant(True), lost=None)
        level.earlier = [Constant(True)]
        before = dict(self.symbols.values)
        if captures(expr) and "MATCH" in self.lets:
            self.symbols.values["MATCH"] = ref("1")
        self.items(block.items, level)
        level.nodes.append(Line("", comments=level.comments))
        if expr != Constant(True) or set(recipe.head.flags) & set("AaEe"):
            self.assignments.leave_block(before, recipe)
        nodes = tidy(level.nodes)
        if "c" not in recipe.head.flags:
            return nodes
        if changes_message(nodes):
            raise Unsayable("a copy that is changed and goes its own way")
        if not always_ends(nodes):
            self.note(
                "differs",
                recipe,
                "",
                "a clone that delivers nothing in its block goes on behind it and delivers a second"
                " copy; here there is one",
            )
        return as_copies(nodes)


def _first_line(text: str) -> str:
    return " ".join(text.split())


def _wrapped(text: str) -> list[str]:
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(text, 96)]
