"""A module that is missing, empty, cut off or unreadable: the message waits, and never bounces."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tests.installation import LDA, copy_installation
from tests.processes.conftest import Home

GARBLED = 40

EVERY_WAY = os.environ.get("MDELIVER_FAULTS") == "all"
"""Each module is damaged in one way, or in every way with MDELIVER_FAULTS=all."""


def _missing(module: Path) -> None:
    module.unlink()


def _empty(module: Path) -> None:
    module.write_bytes(b"")


def _cut(module: Path) -> None:
    text = module.read_bytes()
    module.write_bytes(text[: len(text) * 2 // 3] + b"\n(((")


def _exits(module: Path) -> None:
    module.write_text("import os\nos._exit(1)\n")


def _unreadable(module: Path) -> None:
    module.chmod(0)


WAYS = (_missing, _empty, _cut, _exits, _unreadable)


@pytest.mark.slow
@pytest.mark.parametrize("damage", WAYS)
def test_no_damaged_module_bounces(top: Path, damage: Callable[[Path], None]) -> None:
    package = copy_installation(top / "installed")
    launcher = str(top / "installed" / "bin" / LDA.name)
    numbers = count()

    def broken_by(module: Path) -> str:
        """The verdict with one module damaged in a copy of its own, and after the repair."""
        prefix = top / f"broken{next(numbers)}"
        copy = _linked_copy(package, prefix)
        damaged = copy / module.relative_to(package)
        content = damaged.read_bytes()
        damaged.unlink()
        damaged.write_bytes(content)
        damage(damaged)
        home = Home(top / f"home{prefix.name}", [str(prefix / "bin" / LDA.name)])
        home.write_rules('if subject contains "x" and from is "y":\n    discard\n')
        verdict = home.deliver().verdict
        if verdict != "sent":
            assert home.is_empty
            home.command = [launcher]
            assert home.deliver(at=1_700_000_600).verdict == "sent"
        assert home.holds_once()
        shutil.rmtree(prefix)
        return verdict

    modules = list(_delivery_modules(package))
    if not EVERY_WAY:
        modules = modules[WAYS.index(damage) :: len(WAYS)]
    with ThreadPoolExecutor(2) as pool:
        verdicts = dict(zip(modules, pool.map(broken_by, modules), strict=True))
    bounced = [module for module, verdict in verdicts.items() if verdict == "bounced"]
    assert bounced == []
    assert "deferred" in verdicts.values()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_missing, _empty, _cut, _unreadable])
def test_no_damaged_bundle_bounces(top: Path, damage: Callable[[Path], None]) -> None:
    """The modules beside it serve in its place."""
    package = copy_installation(top / "installed", bundle=True)
    bundles = list(package.glob("bundle.*"))
    if not bundles:
        pytest.skip("this installation has no bundle")
    for bundle in bundles:
        damage(bundle)
    home = Home(top / "home", [str(top / "installed" / "bin" / LDA.name)])
    assert home.deliver().verdict == "sent"
    assert home.holds_once()


@pytest.mark.slow
def test_no_garbled_bundle_bounces(top: Path) -> None:
    """What a marshalled file with a wrong byte does is anybody's guess: the message waits."""
    package = copy_installation(top / "installed", bundle=True)
    command = [str(top / "installed" / "bin" / LDA.name)]
    for bundle in package.glob("bundle.*"):
        content = bundle.read_bytes()
        for offset in range(16, len(content), len(content) // GARBLED):
            bundle.write_bytes(content[:offset] + b"\xff" * 4 + content[offset + 4 :])
            home = Home(top / f"home{offset}", command)
            assert home.deliver().verdict in ("sent", "deferred"), offset


def _delivery_modules(package: Path) -> Iterator[Path]:
    yield from (m for m in sorted(package.rglob("*.py")) if m.parent.name != "cli")


def _linked_copy(package: Path, prefix: Path) -> Path:
    """A copy of the installation that PACKAGE is in, made of hard links."""
    installed = package.parents[3]
    shutil.copytree(installed, prefix, symlinks=True, copy_function=os.link)
    return prefix / package.relative_to(installed)
