"""`mdeliver report`: from the decision log, for people, programs and cron."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.report import _row, command
from tests.unit.history.test_recall import SAID

NOW = time.time()
GOOD = "spf=pass smtp.mailfrom=example.net; dmarc=pass header.from=example.net"
BAD = "spf=fail smtp.mailfrom=example.org; dkim=none; dmarc=fail header.from=example.org"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a decision log."""
    state = tmp_path / ".local" / "state" / "mdeliver"
    state.mkdir(parents=True)
    lines = [
        SAID | {"time": NOW - age_s, "queue_id": f"Q{age_s}", "authentication": results}
        for age_s, results in ((9 * 86400, BAD), (90, GOOD), (60, BAD), (30, ""))
    ]
    lines[2]["client"] = "203.0.113.5"
    (state / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run(home: Path, *arguments: str, path: str | None = None) -> Result:
    clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
    asked = ["--home", str(home), *arguments]
    return CliRunner().invoke(
        command, asked, env=clean | {"USER": "ann", "PATH": path or os.environ["PATH"]}
    )


def test_by_domain(home: Path) -> None:
    said = run(home)
    assert said.exit_code == 0, said.output
    assert "example.org (your own): 2 of 2 would fail" in said.stdout
    assert "example.net: 0 of 1 would fail" in said.stdout
    assert "not counted: 1 message without results" in said.stdout


def test_for_programs_and_within_a_time(home: Path) -> None:
    said = run(home, "--json", "--since", "7d", "--domain", "example.org")
    (tally,) = [json.loads(line) for line in said.stdout.splitlines()]
    assert (tally["domain"], tally["own"], tally["would_fail"]) == ("example.org", True, 1)
    assert tally["failing"] == [
        {"client": "203.0.113.5", "spf": "fail", "dkim": "none", "messages": 1}
    ]
    assert run(home, "--json", "--until", "30d").exit_code == 1


def test_what_is_counted_says_nothing_of_the_message(home: Path) -> None:
    rows = [json.loads(line) for line in run(home, "--deliveries").stdout.splitlines()]
    assert len(rows) == 4
    assert all("subject" not in row for row in rows)
    assert _row(json.dumps(rows[2]).encode()) == rows[2]


@pytest.mark.parametrize("line", [b"", b"[", b"[1]", b'{"time": "x"}', b"\xff", b"{" * 9999])
def test_rows_that_are_none(line: bytes) -> None:
    assert _row(line) is None


def test_a_daily_mail(home: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sendmail").write_text(f"#!/bin/sh\ncat > {tmp_path}/sent\n")
    (programs / "sendmail").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    assert run(home, "--mail", "root", "--since", "7d", path=path).exit_code == 0
    sent = (tmp_path / "sent").read_text()
    assert "To: root\n" in sent
    assert "1 of them in your" in sent.replace("=\n", "").replace("\n ", " ")
    assert run(home, "--mail", "root", "--json").exit_code == 2
