"""The installed program: deliveries leave a line; mail that is there is sorted, and put back."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.installation import LDA
from tests.processes.conftest import MESSAGE, Home

MDELIVER = LDA.parent / "mdeliver"

RULES = 'if subject contains "hello":\n    also file to imap/Greetings as seen\n'


def run(
    home: Home, *arguments: str, wrapper: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """MDELIVER with ARGUMENTS, as the recipient."""
    return subprocess.run(
        [*wrapper, str(MDELIVER), *arguments],
        env=home.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        user=home.person.uid if os.geteuid() == 0 else None,
        group=home.person.gid if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )


def logged(home: Home, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(li) for li in run(home, "log", "--json", *arguments).stdout.splitlines()]


def test_a_delivery_can_be_asked_about(either: Home) -> None:
    either.write_rules(RULES)
    assert either.deliver(b"Message-ID: <1@x>\n" + MESSAGE).verdict == "sent"
    (said,) = logged(either, "1@x")
    assert (said["outcome"], said["subject"]) == ("delivered", "hello")
    names = {a["folder"]: a["name"] for a in said["actions"] if a["store"] == "maildir"}
    maildir = either.path / "Maildir"
    assert [p.name for p in (maildir / "new").iterdir()] == [names[None]]
    assert [p.name for p in (maildir / ".Greetings/cur").iterdir()] == [f"{names['Greetings']}:2,S"]
    counted = run(either, "log", "--rules").stdout
    assert re.search(r"^ +1  .*also file to imap/Greetings", counted, re.MULTILINE)


def test_deliveries_at_once_each_leave_their_line(home: Home) -> None:
    messages = [b"Message-ID: <%d@x>\n" % n + MESSAGE for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(home.deliver, messages))
    assert {answer.verdict for answer in answers} == {"sent"}
    found = sorted(said["message_id"] for said in logged(home, "--last", "99"))
    assert found == sorted(f"<{n}@x>" for n in range(24))


def test_what_is_deferred_and_rejected_leaves_a_line_too(home: Home) -> None:
    home.write_rules('reject "5.7.1 no"\n')
    assert home.deliver().verdict == "bounced"
    home.write_rules("nonsense\n")
    assert home.deliver().verdict == "deferred"
    assert [said["outcome"] for said in logged(home)] == ["rejected", "deferred"]


def test_a_log_that_cannot_be_written_holds_nothing_up(home: Home) -> None:
    state = home.path / ".local" / "state" / "mdeliver"
    assert home.deliver().verdict == "sent"
    (state / "log").unlink()
    (state / "log").mkdir()
    answer = home.deliver(b"X-Another: one\n" + MESSAGE)
    assert (answer.verdict, answer.output) == ("sent", b"")


def test_syslog_gets_its_line(home: Home) -> None:
    path = home.path / "syslog"
    settings = home.path / "mdeliver.toml"
    settings.write_text(f'[log]\nsyslog = "{path}"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        path.chmod(0o666)
        server.settimeout(120)
        home.command += ["--settings", str(settings)]
        assert home.deliver().verdict == "sent"
        line = server.recv(8192).decode()
    assert re.search(r"mdeliver/local\[\d+\]: \w+: to=<[^>]+>, relay=mdeliver, ", line)
    assert "status=sent (filed to imap, pop3 by no rule)" in line


def _stored(home: Home, count: int) -> Path:
    assert home.deliver().verdict == "sent"
    maildir = home.path / "Maildir"
    (first,) = (maildir / "new").iterdir()
    for number in range(count):
        copy = maildir / "new" / f"{number}.M1.host"
        copy.write_bytes(b"Subject: hello %d\n\nhow are you\n" % number)
        home.give(copy)
    first.unlink()
    home.write_rules('if subject contains "hello":\n    file to imap/Greetings as seen\n')
    return maildir


def test_apply_sorts_what_is_there_and_undo_puts_it_back(home: Home) -> None:
    maildir = _stored(home, 300)
    before = sorted(str(path) for path in maildir.rglob("*"))
    shown = run(home, "apply", "inbox")
    assert "300 moved" in shown.stdout, shown
    assert sorted(str(path) for path in maildir.rglob("*")) == before
    assert run(home, "apply", "inbox", "--yes").returncode == 0
    assert len(list((maildir / ".Greetings" / "cur").glob("*:2,S"))) == 300
    assert list((maildir / "new").iterdir()) == []
    assert run(home, "apply", "--undo").returncode == 0
    after = sorted(str(p) for p in maildir.rglob("*") if p.name != "subscriptions")
    assert after == [name for name in before if not name.endswith("subscriptions")]


def test_apply_that_is_killed_is_finished_by_the_next(home: Home) -> None:
    maildir = _stored(home, 300)
    # A message is never in both folders: what rename(2) does it does whole.
    inject = "inject=rename:signal=KILL:when=150"
    killed = run(
        home,
        "apply",
        "inbox",
        "--yes",
        wrapper=["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject],
    )
    assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), killed
    moved = len(list((maildir / ".Greetings" / "cur").iterdir()))
    assert 0 < moved < 300
    assert "interrupted" in run(home, "apply", "--undo", "--list").stdout
    assert run(home, "apply", "inbox", "--yes").returncode == 0
    assert len(list((maildir / ".Greetings" / "cur").iterdir())) == 300
    assert list((maildir / "new").iterdir()) == []
    assert run(home, "apply", "--undo").returncode == 0
    assert run(home, "apply", "--undo").returncode == 0
    assert len(list((maildir / "new").iterdir())) == 300


def test_what_was_found_out_about_senders_is_counted(home: Home) -> None:
    name = os.uname().nodename
    head = (
        f"Authentication-Results: {name}; spf=fail smtp.mailfrom=example.org; dkim=none;\n"
        " dmarc=fail header.from=example.org policy.dmarc=none\n"
        f"Received: from x (x [203.0.113.5]) by {name} (Postfix) with ESMTP id 4XyZ; today\n"
    ).encode()
    for _ in range(2):  # brought twice is one message
        assert home.deliver(head + MESSAGE, CLIENT_ADDRESS="203.0.113.5").verdict == "sent"
    assert home.deliver(MESSAGE).verdict == "sent"
    (said,) = [json.loads(line) for line in run(home, "report", "--json").stdout.splitlines()]
    assert (said["domain"], said["would_fail"], said["policies"]) == ("example.org", 1, {"none": 1})
    (source,) = said["failing"]
    assert source == {"client": "203.0.113.5", "spf": "fail", "dkim": "none", "messages": 1}
