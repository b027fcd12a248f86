"""mdeliver-convert(1) against the code: its options, levels of the report, and codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import click

from mdeliver.cli.convert import command
from mdeliver.diagnostic import Span
from mdeliver.procmail import parser
from tests.structure.source import ROOT
from tests.unit.test_manual import items

PAGE = ROOT / "man" / "mdeliver-convert.1"
TEXT = PAGE.read_text()


def _options(name: str) -> set[str]:
    assert isinstance(command, click.Group)
    found = command.commands[name].params
    return {o for p in found if isinstance(p, click.Option) for o in p.opts}


def _described(title: str) -> set[str]:
    _, found, rest = TEXT.partition(f"\n.Ss {title}\n")
    assert found
    part = re.split(r"\n\.S[sh] ", rest)[0]
    return {f"-{word.split()[0]}" for word in items(part, "Fl")}


def test_every_option_is_described() -> None:
    both = _described("Options of both")
    assert both == _options("sieve")
    assert both | _described("Options of procmailrc") == _options("procmailrc")


def test_the_levels_of_the_report() -> None:
    from typing import Literal

    from mdeliver.procmail import report

    hint = get_type_hints(report.Entry, {"Span": Span, "Literal": Literal})["level"]
    _, _, rest = TEXT.partition("\n.Ss The report\n")
    assert set(items(rest, "Ic")) == set(get_args(hint))


def test_the_codes() -> None:
    assert parser.__file__
    source = Path(parser.__file__).read_text()
    codes = sorted(set(re.findall(r'"(P\d+)"', source)))
    assert f"{codes[0]} to {codes[-1]}" in TEXT
