"""The annotated examples in rules/: every one is sound, and nothing is to be said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.envelope import Envelope
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules
from mdeliver.replay.trial import load_trial, try_case
from mdeliver.settings import Site

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


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_example_does_what_its_cases_say(path: Path) -> None:
    cases = path.with_suffix(".cases")
    # Rules are trusted only where their owner is the user's: here, whoever checked them out.
    trial = load_trial(str(cases), "/home/ann", path.stat().st_uid, None)
    assert [finding.line for finding in trial.findings] == []
    asker = Envelope("nobody", "/nonexistent", path.stat().st_uid)
    site = Site(hostname="mail.example.org")
    tried = [try_case(trial, case, asker, site) for case in trial.cases]
    assert [(one.case.title, failure) for one in tried for failure in one.failures] == []
    assert tried


def test_there_are_examples() -> None:
    assert len(RULES) >= 13
