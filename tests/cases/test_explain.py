"""tests/cases/explain/*.test: rules, an envelope and a message, and what `mdeliver test` says.

A file holds cases; `=== ` opens one with its name, `--- ` its parts:

    === name
    --- rules
    --- envelope    NAME = VALUE lines, fields of Envelope
    --- message     its head, and its body if need be; omitted: plain.eml
    --- plan        expected, as JSON objects of `mdeliver test --json`
    --- explained   expected, as people read it

`pytest tests/cases --update-cases` rewrites the two expected parts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdeliver import explain
from mdeliver.decision import outcome_of
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.settings import Site

CASES = Path(__file__).parent / "explain"
PLAIN = (Path(__file__).parent.parent / "messages" / "plain.eml").read_text()
SITE = Site((), "mail.example.org", "+")
ARRIVAL_S = 1_793_620_800.0  # 2026-11-02, a Monday, 12:00
KEPT_PARTS = ("rules", "envelope", "message")


def read_cases(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Name and parts of each case in PATH."""
    cases = []
    for piece in ("\n" + path.read_text()).split("\n=== ")[1:]:
        name, *parts = piece.split("\n--- ")
        named = dict(part.partition("\n")[::2] for part in parts)
        cases.append((name.strip(), {key: text.rstrip("\n") for key, text in named.items()}))
    return cases


ALL = [(path, name) for path in sorted(CASES.glob("*.test")) for name, _ in read_cases(path)]


@pytest.fixture(autouse=True)
def _local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates and times of the cases are those of Greenwich, wherever the tests run."""
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def run(parts: dict[str, str]) -> tuple[str, str]:
    """Plan and explanation of one case, as the two expected parts say them."""
    whole = parts.get("message", PLAIN).encode() + b"\n\n"
    head = whole[: whole.index(b"\n\n") + 2]
    settings = dict(line.split(" = ") for line in parts.get("envelope", "").splitlines())
    settings = {key: value.strip('"') for key, value in settings.items()}
    defaults = {
        "sender": "bob@example.org",
        "recipient": "ann@example.org",
        "domain": "example.org",
    }
    said: dict[str, Any] = defaults | settings
    envelope = Envelope("ann", "/home/ann", 1000, **said)
    compiled = compile_rules([Source("rules", parts["rules"] + "\n")], lambda _path: "")
    assert compiled.program is not None, [finding.line for finding in compiled.findings]
    message = Message(head, 1000, octets=lambda: [whole])
    decision = evaluate(compiled.program, message, envelope, SITE, ARRIVAL_S, explain=True)
    silent = evaluate(
        compiled.program,
        Message(head, 1000, octets=lambda: [whole]),
        envelope,
        SITE,
        ARRIVAL_S,
        explain=False,
    )
    assert silent.plan == decision.plan, "the delivery must do what the dry run says"
    outcome = outcome_of(decision.plan)
    shown = explain.as_object("message", message, decision, outcome)
    plan = [json.dumps(action, ensure_ascii=False) for action in shown["actions"]]
    plan.append(shown["outcome"])
    lines = explain.as_lines("message", message, decision, outcome, lambda _colour, words: words)
    return "\n".join(plan), "\n".join(lines[1:])


@pytest.mark.parametrize(("path", "name"), ALL, ids=[f"{p.stem}: {n}" for p, n in ALL])
def test_explained(path: Path, name: str, update_cases: bool) -> None:
    cases = read_cases(path)
    parts = dict(cases)[name]
    plan, explained = run(parts)
    if not update_cases:
        assert (parts.get("plan"), parts.get("explained")) == (plan, explained)
        return
    parts |= {"plan": plan, "explained": explained}
    path.write_text("\n".join(written(n, parts if n == name else p) for n, p in cases))


def written(name: str, parts: dict[str, str]) -> str:
    """A case as it stands in its file."""
    order = [part for part in (*KEPT_PARTS, "plan", "explained") if part in parts]
    return f"=== {name}\n" + "".join(f"--- {part}\n{parts[part]}\n" for part in order)
