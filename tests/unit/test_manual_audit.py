"""mdeliver-audit(8) against the code: its groups, checks and levels."""

from __future__ import annotations

import re

import mdeliver
from mdeliver.audit.checks import CHECKS, GROUPS
from mdeliver.audit.finding import LEVELS
from tests.structure.source import ROOT
from tests.unit.test_manual import items, section

PAGE = ROOT / "man" / "mdeliver-audit.8"
TEXT = PAGE.read_text()


def test_the_checks_stand_in_their_groups_and_in_their_order() -> None:
    parts = section(TEXT, "CHECKS").split("\n.Ss Group ")[1:]
    described = {part.partition("\n")[0]: items(part, "Cm") for part in parts}
    assert described == {g: [c.name for c in CHECKS if c.group == g] for g in GROUPS}
    assert list(described) == list(GROUPS)


def test_the_levels() -> None:
    assert items(section(TEXT, "Levels", "Ss"), "Cm") == list(LEVELS)


def test_the_page_is_installed_and_of_this_version() -> None:
    assert f"\n.Os mdeliver {mdeliver.__version__}\n" in TEXT
    installed = re.findall(
        r"install\(FILES ([^)]*) DESTINATION", (ROOT / "CMakeLists.txt").read_text()
    )
    assert any("man/mdeliver-audit.8" in files for files in installed)
