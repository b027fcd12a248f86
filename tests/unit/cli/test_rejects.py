"""`mdeliver rejects` as it is called: what it reads, prints and sends, and how it exits."""

from __future__ import annotations

import email.policy
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.rejects import command
from mdeliver.postfix import logfiles

HOUR_S = 3600


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No log of this host, no program of this host, and Greenwich."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(logfiles, "USUAL_PLACES", (str(tmp_path / "mail.log"),))
    monkeypatch.setattr(logfiles, "_maillog_file", lambda: "")
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def program(name: str, script: str) -> None:
    path = Path("bin") / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def refusal(ago_s: float = HOUR_S, sender: str = "eve@example.net", client: int = 1) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago_s))
    return (
        f"{stamp} mail postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.{client}]:"
        f" 450 4.1.8 <{sender}>: Sender address rejected: Domain not found; from=<{sender}>"
        " to=<ann@example.org> proto=ESMTP helo=<mx.example.net>\n"
    )


def rejects(*arguments: str, stdin: str = "", status: int = 0) -> Result:
    result = CliRunner().invoke(command, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == status, result.output
    return result


def objects(*arguments: str, **given: Any) -> list[dict[str, Any]]:
    return [json.loads(x) for x in rejects(*arguments, "--json", **given).stdout.splitlines()]


def test_without_a_file_the_log_and_what_was_rotated_is_read() -> None:
    Path("mail.log").write_text(refusal(60))
    Path("mail.log.1").write_text(refusal(HOUR_S))
    Path("mail.log.2.gz").write_bytes(gzip.compress(refusal(2 * HOUR_S).encode()))
    (said,) = objects()
    assert said["tries"] == 3
    assert said["first"] < said["last"]


def test_nothing_was_refused() -> None:
    Path("mail.log").write_text("")
    assert rejects().output == "nothing was refused\n"


def test_standard_input() -> None:
    (said,) = objects("-", stdin=refusal())
    assert said["sender"] == "eve@example.net"


def test_objects_have_every_side() -> None:
    (said,) = objects("-", stdin=refusal())
    expected = "level weight reasons action check stage client_name client_address"
    expected += " client_addresses helo sender recipient tries first last reply advice file line"
    assert list(said) == [*expected.split(), "setting"]
    assert (said["check"], said["client_name"]) == ("reject_unknown_sender_domain", None)
    assert said["line"] == "192.0.2.1/32 OK"


def test_since_and_until() -> None:
    Path("mail.log").write_text(refusal(30 * HOUR_S, "old@x.net") + refusal(60, "new@x.net"))
    assert [x["sender"] for x in objects("--since", "1h")] == ["new@x.net"]
    assert [x["sender"] for x in objects("--until", "1d")] == ["old@x.net"]
    assert len(objects("--since", "2026-01-01")) == 2
    assert len(objects("--since", "2026-01-01 10:00")) == 2
    assert objects("--until", "2026-01-01T10:00:00+01:00") == []


@pytest.mark.parametrize("when", ["", "soon", "1y", "25:00", "2026-02-30", "9" * 30 + "d"])
def test_what_is_no_time(when: str) -> None:
    assert "is no time; such as" in rejects("-", "--since", when, status=2).output


def test_about() -> None:
    text = refusal(sender="a@x.net") + refusal(sender="b@y.net", client=2)
    assert [x["sender"] for x in objects("-", "--about", "Y.NET", stdin=text)] == ["b@y.net"]
    assert [x["sender"] for x in objects("-", "--about", "192.0.2.1", stdin=text)] == ["a@x.net"]


def test_by_one_side() -> None:
    text = refusal() * 3 + refusal(client=2)
    # One message that came from two machines of a network; the last one names it.
    output = rejects("-", "--by", "client", stdin=text).output
    assert output.splitlines()[1:] == ["       4        1  unknown[192.0.2.2]"]
    assert objects("-", "--by", "check", stdin=text) == [
        {"check": "reject_unknown_sender_domain", "tries": 4, "attempts": 1}
    ]


def test_top_and_all() -> None:
    text = "".join(refusal(sender=f"{n}@x.net", client=n) for n in range(20))
    short = rejects("-", "--top", "3", "--by", "sender", stdin=text).output
    assert short.count("@x.net") == 3
    assert "… 17 more" in short
    assert rejects("-", "--all", stdin=text).output.count("check    ") == 20


def test_nothing_a_stranger_says_reaches_the_terminal_as_it_is() -> None:
    text = refusal(sender="\x1b]0;x\x07\u202e\x9b2J@x.net")
    for arguments in (["--all"], ["--json"], ["--by", "sender"]):
        output = rejects("-", *arguments, stdin=text).output
        assert all(c.isprintable() or c == "\n" for c in output)


def test_a_missing_file() -> None:
    result = rejects("none.log", status=1)
    assert "none.log: No such file or directory" in result.stderr


def test_a_damaged_file_is_read_as_far_as_it_goes() -> None:
    whole = gzip.compress(refusal().encode() * 2)
    Path("log.gz").write_bytes(whole[:-8])
    Path("log").write_text(refusal(client=2))
    result = rejects("log.gz", "log", status=1)
    assert "log.gz: Compressed file ended before" in result.stderr
    assert result.stdout.startswith("1 message refused in ")


def test_the_journal() -> None:
    line = refusal().split("]: ", 1)[1].strip()
    now_us = int((time.time() - 60) * 1e6)
    entry = {"__REALTIME_TIMESTAMP": str(now_us), "SYSLOG_IDENTIFIER": "postfix/smtpd"}
    Path("journal").write_text(json.dumps({**entry, "MESSAGE": line}) + "\n")
    program("journalctl", 'echo "$@" > asked; /bin/cat journal')
    (said,) = objects("--journal")
    assert said["check"] == "reject_unknown_sender_domain"
    assert "--output=json" in Path("asked").read_text()
    # Where there are no files, the journal is the log.
    assert objects() == [said]


def test_a_journal_that_says_no() -> None:
    program("journalctl", "echo 'no permission' >&2; exit 1")
    assert "journalctl: no permission" in rejects("--journal", status=1).stderr


def test_the_journal_is_no_file() -> None:
    rejects("--journal", "x.log", status=2)


def test_mail_is_of_yesterday(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where it is about noon now, no midnight comes between.
    monkeypatch.setenv("TZ", f"X{time.gmtime().tm_hour - 12}")
    time.tzset()
    program("sendmail", 'echo "$@" > asked; /bin/cat > sent')
    today = refusal(0, "today@x.net")
    yesterday = refusal(86_400, "yesterday@x.net")
    assert rejects("-", "--mail", "root@example.org", stdin=today + yesterday).output == ""
    message = message_from_bytes(Path("sent").read_bytes(), policy=email.policy.default)
    assert Path("asked").read_text() == "-i -t\n"
    assert message["To"] == "root@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "1 message refused in 1 try" in message["Subject"]
    body = message.get_content()
    assert "yesterday@x.net" in body
    assert "today@x.net to" not in body.replace("yesterday@x.net", "")


def test_mail_that_cannot_be_sent() -> None:
    program("sendmail", "echo broken; exit 75")
    result = rejects("-", "--mail", "root", stdin=refusal(), status=1)
    assert "sendmail ended with 75: broken" in result.stderr


def test_mail_to_what_is_no_address() -> None:
    program("sendmail", "/bin/cat > sent")
    rejects("-", "--mail", "a\nBcc: b@x.net", stdin=refusal(), status=2)
    assert not Path("sent").exists()


def test_mail_alone() -> None:
    rejects("-", "--mail", "root", "--json", status=2)


def test_follow_shows_each_when_it_happens() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mdeliver", "rejects", "--follow", "-"],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as follower:
        assert follower.stdin is not None
        assert follower.stdout is not None
        # However long it takes to begin: what was before that is not shown.
        follower.stdin.write((refusal() + refusal(-HOUR_S)).encode())
        follower.stdin.flush()
        first = follower.stdout.readline().decode()
        assert first.endswith("<eve@example.net> to ann@example.org\n")
        follower.stdin.close()
        rest = follower.stdout.read().decode()
    assert "refused by reject_unknown_sender_domain, try 2: 450 4.1.8" in rest
    assert rest.count("client unknown[192.0.2.1]") == 1
    assert follower.returncode == 0


def test_a_progress_bar_on_a_terminal_alone() -> None:
    Path("mail.log").write_text(refusal())
    run = [sys.executable, "-m", "mdeliver", "rejects", str(Path("mail.log").absolute())]
    screen, terminal = os.openpty()
    where = Path(__file__).parents[3]
    shown = subprocess.run(run, cwd=where, stderr=terminal, stdout=subprocess.PIPE, check=True)
    os.close(terminal)
    assert b"reading" in os.read(screen, 10_000)
    os.close(screen)
    plain = subprocess.run(run, cwd=where, capture_output=True, check=True)
    assert (plain.stderr, plain.stdout) == (b"", shown.stdout)


def test_follow_from_some_time_on() -> None:
    said = objects("-", "--follow", "--since", "2h", stdin=refusal() * 2)
    assert [x["tries"] for x in said] == [1, 2]
