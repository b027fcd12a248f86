"""README, SECURITY and CHANGELOG: what they name is there, and what they show works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mdeliver
from mdeliver.cli import COMMANDS
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from tests.structure.source import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = ("README.md", "SECURITY.md", "CHANGELOG.md")


def examples(text: str) -> list[str]:
    """Indented blocks of a Markdown text."""
    found = re.findall(r"(?:^ {4}.*\n)(?:(?: {4}.*)?\n)*", text, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip("\n") + "\n" for block in found]


def test_the_rules_of_the_first_two_minutes_are_sound() -> None:
    (rules,) = [block for block in examples(README) if block.startswith("me = ")]
    compiled = compile_rules([Source("README", rules)], lambda _path: "")
    assert compiled.program is not None, [finding.line for finding in compiled.findings]
    assert lint(compiled.program, {"README": rules}, ["README"]) == []


def test_commands_exist() -> None:
    named = set(re.findall(r"(?:`|bin/)mdeliver ([a-z][a-z-]*)", README))
    assert named
    assert named <= {name for name, _module in COMMANDS}


def test_make_targets_exist() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)(?=`|    )", README))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text()):
        assert Path(ROOT, target).exists(), target


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first
    assert first[1] == mdeliver.__version__
