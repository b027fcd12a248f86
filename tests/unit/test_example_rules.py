"""The annotated examples in rules/: every one is sound, and nothing is to be said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules

RULES = sorted((Path(__file__).parents[2] / "rules").glob("*.rules"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_example_has_no_errors_and_no_warnings(path: Path) -> None:
    text = path.read_text()
    texts = {str(path): text}

    def read_file(name: str) -> str:
        texts[name] = Path(name).read_text()
        return texts[name]

    compiled = compile_rules([Source(str(path), text)], read_file)
    assert compiled.findings == ()
    assert compiled.program is not None
    complete = [] if path.name == "site.rules" else [str(path)]
    assert lint(compiled.program, texts, complete) == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_example_survives_printing(path: Path) -> None:
    statements = parse(path.read_text(), path.name).statements
    assert parse(print_rules(statements), path.name).statements == statements


def test_there_are_examples() -> None:
    assert len(RULES) >= 7
