"""The parser of procmailrc: what real files write, lexical corners, and what is no procmailrc."""

from __future__ import annotations

import pytest

from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.syntax import (
    Alternate,
    Assignment,
    Backtick,
    Block,
    Comment,
    Folder,
    Forward,
    Gap,
    Literal,
    Pipe,
    Recipe,
    Variable,
    unparse,
)


def _recipe(text: str) -> Recipe:
    file = parse_procmailrc(text, "rc")
    assert file.findings == (), file.findings
    assert unparse(file) == text
    (recipe,) = [item for item in file.items if isinstance(item, Recipe)]
    return recipe


def _codes(text: str) -> list[str]:
    file = parse_procmailrc(text, "rc")
    assert unparse(file) == text
    return [finding.code for finding in file.findings]


def test_a_recipe() -> None:
    recipe = _recipe(":0 c: my.lock # why\n# first\n* ^Subject:.*x\n\n  * < 100\nfolder/ # there\n")
    assert (recipe.head.flags, recipe.head.lock, recipe.head.comment) == ("c", "my.lock", " why")
    assert [c.text for c in recipe.conditions] == ["^Subject:.*x", "< 100"]
    assert [p.text for p in recipe.parts if isinstance(p, Comment)] == [" first", ""]
    assert isinstance(recipe.action, Folder)
    assert (recipe.action.words.plain, recipe.action.comment) == ("folder/", " there")
    assert recipe.span.where == "rc:1"


@pytest.mark.parametrize(
    ("head", "flags", "lock"),
    [
        (":0", "", None),
        (":0:", "", ""),
        (":0 :", "", ""),
        (":0Whc:vacation.lock", "hcW", "vacation.lock"),
        (":0 W h c : vacation.lock", "hcW", "vacation.lock"),
        (":0fw: x$LOCKEXT", "fw", "x$LOCKEXT"),
        (":0 HB b", "HBb", None),
    ],
)
def test_heads(head: str, flags: str, lock: str | None) -> None:
    recipe = _recipe(f"{head}\nx\n")
    assert (recipe.head.flags, recipe.head.lock) == (flags, lock)


def test_the_old_syntax_counts_conditions() -> None:
    recipe = _recipe(":2\n^From:.*a\n^To:.*b\nfolder\n")
    assert [c.text for c in recipe.conditions] == ["^From:.*a", "^To:.*b"]
    recipe = _recipe(":\n^From:.*a\nfolder\n")
    assert [c.text for c in recipe.conditions] == ["^From:.*a"]


def test_actions() -> None:
    assert isinstance(_recipe(":0\n! a@b c@d\n").action, Forward)
    pipe = _recipe(":0\n| prog \\\n  -x | y\n").action
    assert isinstance(pipe, Pipe)
    assert pipe.command == " prog \\\n  -x | y"
    capture = _recipe(":0 h\nKEYWORDS=| formail -xKeywords:\n").action
    assert isinstance(capture, Pipe)
    assert (capture.capture, capture.command) == ("KEYWORDS", " formail -xKeywords:")


def test_blocks_within_blocks() -> None:
    recipe = _recipe(":0\n* x\n{\n  A=1\n\n  :0 c\n  { B=2 }\n}\n")
    assert isinstance(recipe.action, Block)
    kinds = [type(item).__name__ for item in recipe.action.items]
    assert kinds == ["Assignment", "Comment", "Recipe", "Comment"] or "Recipe" in kinds


def test_several_assignments_on_a_line() -> None:
    file = parse_procmailrc("A=1 B = two C  D='x y' # why\n", "rc")
    found = [
        (i.name, i.value.plain if i.value else None)
        for i in file.items
        if isinstance(i, Assignment)
    ]
    assert found == [("A", "1"), ("B", "two"), ("C", None), ("D", "x y")]
    assert file.findings == ()


def test_words() -> None:
    (item,) = parse_procmailrc('A="x $B ${C:-d e} `ls $F`"\n', "rc").items
    assert isinstance(item, Assignment)
    assert item.value is not None
    assert item.value.pieces == (
        Literal("x "),
        Variable("B", True),
        Literal(" "),
        Alternate("C", ":-", (Literal("d e"),), True),
        Literal(" "),
        Backtick("ls $F", True),
    )
    folder = _recipe(":0\na\\ b c'd e'\"f\"\n").action
    assert isinstance(folder, Folder)
    assert folder.words.pieces == (Literal("a b"), Gap(), Literal("cd ef"))


def test_a_value_goes_over_lines() -> None:
    file = parse_procmailrc("A='one\ntwo'\nB=x\\\ny\n", "rc")
    values = [
        item.value.plain for item in file.items if isinstance(item, Assignment) and item.value
    ]
    assert values == ["one\ntwo", "xy"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (":0\n* ^Subject:.*x\n", ["P102"]),
        (":0", ["P102"]),
        ('A="never closed\n', ["P101"]),
        ("}\n", ["P103"]),
        (":0\n{\n", ["P104"]),
        ("some words here: and there\n", ["P105"]),
        (":0q\nx\n", ["P106"]),
        (":0\n{X=1}\n", ["P107"]),
        ("A=1\r\n:0\r\nx\r\n", ["P108"]),
        (":0\n* x\nfol\0der\n", ["P109"]),
        (":0\n* " + "x" * 3000 + "\nfolder\n", ["P112"]),
        (":0\n* x\n\n:0\nfolder\n", ["P102"]),
    ],
)
def test_findings(text: str, codes: list[str]) -> None:
    found = _codes(text)
    assert sorted(set(found)) == sorted(codes) or found[: len(codes)] == codes


def test_ten_thousand_braces() -> None:
    text = ":0\n{ \n" * 10_000
    assert "P110" in _codes(text)
    assert "P103" in _codes("} " * 10_000)
    assert "P110" not in _codes(":0\n{ \n" * 30 + "}\n" * 30)


def test_a_finding_has_its_place() -> None:
    (finding,) = parse_procmailrc("A=1\n  :0\n  * x\n  {X=1}\n", "rc").findings
    assert (finding.place.line, finding.place.column, finding.source) == (4, 3, "  {X=1}")
