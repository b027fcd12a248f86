"""Rules texts and what is said of them: tests/cases/language and tests/cases/lint.

A case is a rules file. What is found stands on the offending line, the hint after a bar:

    if from is “a”:  # E: E105 texts stand between … | write "a"

A section `--- prints` is the canonical text that an accepted program prints as. Sections
`--- file NAME` are files that it may include; `--- site` is the site's rules before it.
`pytest -n0 --update-cases` rewrites the expectations.
"""

from __future__ import annotations

import re
from os.path import basename
from pathlib import Path

import pytest

from mdeliver.diagnostic import Diagnostic, render
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.findings import CATALOGUE
from mdeliver.language.lints import lint
from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules
from tests.casefile import Case, cases, update_case

LANGUAGE = cases("language")
LINTS = cases("lint")
MARKS = ("  # E: ", "  # W: ")


def without_marks(text: str) -> str:
    """TEXT as the user wrote it."""
    lines = []
    for line in text.split("\n"):
        at = min((line.find(mark) for mark in MARKS if mark in line), default=len(line))
        lines.append(line[:at])
    # Some mistakes can only be seen in a case file by a name.
    return "\n".join(lines).replace("<TAB>", "\t").replace("<CR>", "\r").replace("<NUL>", "\0")


def with_marks(text: str, found: list[Diagnostic]) -> str:
    """TEXT with FOUND on the lines where they were found."""
    lines = text.split("\n")
    for finding in found:
        letter = finding.level[0].upper()
        hint = f" | {finding.hint}" if finding.hint else ""
        lines[finding.place.line - 1] += f"  # {letter}: {finding.code} {finding.message}{hint}"
    return "\n".join(lines)


def findings_of(case: Case) -> dict[str, list[Diagnostic]]:
    """Findings by section; the main text is section ""."""
    files = {
        f"/rules/{name.removeprefix('file ')}": without_marks(text)
        for name, text in case.sections.items()
        if name.startswith("file ")
    }
    texts = {"/rules/main": without_marks(case.text)}
    if "site" in case.sections:
        texts = {"/rules/site": without_marks(case.sections["site"])} | texts

    def read_file(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    compiled = compile_rules([Source(path, text) for path, text in texts.items()], read_file)
    found = list(compiled.findings)
    assert (compiled.program is None) == any(f.level == "error" for f in found)
    if compiled.program is not None:
        found += lint(compiled.program, texts | files, ["/rules/main"])
    sections: dict[str, list[Diagnostic]] = {}
    for finding in found:
        name = basename(finding.place.file)
        name = {"main": "", "site": "site"}.get(name, f"file {name}")
        sections.setdefault(name, []).append(finding)
    return sections


def check_case(case: Case, update: bool) -> None:
    found = findings_of(case)
    written = {"": case.text} | case.sections
    marked = {
        name: with_marks(without_marks_shown(text), found.get(name, []))
        for name, text in written.items()
        if name != "prints"
    }
    if update and any(marked[name] != written[name] for name in marked):
        case.text = marked[""]
        case.sections.update({n: text for n, text in marked.items() if n})
        update_case(case)
    for name, text in marked.items():
        assert written[name] == text or update
    for finding in (finding for section in found.values() for finding in section):
        assert 1 <= finding.place.column <= len(finding.source) + 1
        assert finding.place.column < finding.place.end_column
        assert render(finding).count("\n") == (3 if finding.hint else 2)
        assert finding.code in CATALOGUE


def without_marks_shown(text: str) -> str:
    """TEXT without marks, its unseen characters still by their names."""
    seen = without_marks(text)
    return seen.replace("\t", "<TAB>").replace("\r", "<CR>").replace("\0", "<NUL>")


@pytest.mark.parametrize("case", [c for c in LANGUAGE if "prints" not in c.sections], ids=str)
def test_what_is_said_of_rules(case: Case, update_cases: bool) -> None:
    check_case(case, update_cases)


@pytest.mark.parametrize("case", LINTS, ids=str)
def test_lints(case: Case, update_cases: bool) -> None:
    check_case(case, update_cases)


@pytest.mark.parametrize("case", [c for c in LANGUAGE if "prints" in c.sections], ids=str)
def test_accepted_rules_print_canonically(case: Case, update_cases: bool) -> None:
    parsed = parse(without_marks(case.text), "rules")
    assert parsed.findings == ()
    printed = print_rules(parsed.statements)
    if update_cases and case.sections["prints"] != printed:
        case.sections["prints"] = printed
        update_case(case)
        return
    assert case.sections["prints"] == printed
    again = parse(printed, "rules")
    assert again.statements == parsed.statements
    assert again.findings == ()


def test_every_code_has_a_case() -> None:
    texts = [text for c in LANGUAGE + LINTS for text in (c.text, *c.sections.values())]
    shown = {part[:4] for text in texts for mark in MARKS for part in text.split(mark)[1:]}
    assert shown == set(CATALOGUE)


PAGE = Path(__file__).parents[3] / "man" / "mdeliver-rules.5"


def grammar() -> dict[str, str]:
    """The productions of mdeliver-rules(5), by their names."""
    section = PAGE.read_text().partition("\n.Sh GRAMMAR\n")[2].partition("\n.Sh ")[0]
    text = section.partition(".Bd -literal")[2].partition("\n")[2].partition("\n.Ed")[0]
    found: dict[str, str] = {}
    name = ""
    for line in text.replace("\\e", "\\").replace("\\&", "").split("\n"):
        before, equals, after = line.partition("=")
        if equals and before.strip().isalpha() and not line.startswith(" "):
            name, line = before.strip(), after
        found[name] = found.get(name, "") + line + "\n"
    return found


GRAMMAR = grammar()


def test_the_grammar_is_read() -> None:
    assert len(GRAMMAR) > 30
    assert {"file", "action", "op", "fact", "QUANT"} <= GRAMMAR.keys()


@pytest.mark.parametrize("production", GRAMMAR)
def test_every_production_has_cases(production: str) -> None:
    """What it accepts, with every word that it has; what it refuses, each line with a message."""
    titled = {case.title: case for case in LANGUAGE if case.file.stem == "grammar"}
    accepted = titled[f"{production} accepted"].text
    refused = titled[f"{production} refused"].text
    assert MARKS[0] not in accepted
    for word in re.findall(r'"([^"]+)"', GRAMMAR[production]):
        whole = re.findall(r"[\w-]+|[<>]=?|[^\w\s]", accepted)
        assert word in (accepted if word in ("-", "_") else whole), word
    lines = [line for line in refused.splitlines() if not line.startswith(" ")]
    assert lines
    without = [line for line in lines if MARKS[0] not in line]
    # A block's mistake may stand on a line within it.
    assert len(without) == 0 or production == "block"
    assert MARKS[0] in refused


def test_there_are_no_cases_of_what_is_no_production() -> None:
    titles = [case.title.split() for case in LANGUAGE if case.file.stem == "grammar"]
    assert sorted(titles) == sorted([p, w] for p in GRAMMAR for w in ("accepted", "refused"))
