"""What users and programs write: rules, procmailrc, Sieve, settings, logs, mboxes."""

from __future__ import annotations

from tests.bombs.bomb import MEGABYTE, Bomb


def _rules(text: str) -> None:
    """Rules that no person wrote have their findings."""
    from tests.fuzz.rules import rules

    rules(text.encode())


def _procmailrc(text: str) -> None:
    from tests.fuzz.rules import procmailrc

    procmailrc(text.encode())


def _sieve(text: str) -> None:
    from tests.fuzz.rules import sieve

    sieve(text.encode())


def _log(octets: bytes) -> None:
    from tests.fuzz.logs import maillog

    maillog(octets)


def _mbox(octets: bytes) -> None:
    from tests.fuzz.tables import mbox

    mbox(octets)


def _settings(text: str) -> None:
    from tests.fuzz.tables import settings

    settings(text.encode())


_LOG_START = b"Nov 22 10:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 450 "

BOMBS: dict[str, Bomb] = {
    "rules: 250 000 parentheses": Bomb(lambda: _rules("if " + "(" * (MEGABYTE // 4)), 4, 200),
    "rules: 250 000 nots": Bomb(
        lambda: _rules("if " + "not " * (MEGABYTE // 4) + "automatic: keep\n"), 10, 600
    ),
    "rules: 500 000 braces that never close": Bomb(
        lambda: _rules('log "' + "{" * (MEGABYTE // 2) + '"\n'), 4, 200
    ),
    "rules: a text of 20 000 braces": Bomb(
        lambda: _rules('log "' + "{size}" * 20_000 + '"\n'), 4, 200
    ),
    "procmailrc: blocks within blocks": Bomb(lambda: _procmailrc(":0\n{\n" * 20_000), 4, 200),
    "procmailrc: a variable doubled 60 times": Bomb(
        lambda: _procmailrc("A=xx\n" + "A=$A$A\n" * 60 + ":0\n* ^Subject: $A\n$A\n"), 4, 200
    ),
    "procmailrc: a regex of stars": Bomb(
        lambda: _procmailrc(":0\n* ^(" + "(a*)*" * 5000 + ")\nx\n"), 4, 200
    ),
    "sieve: blocks within blocks": Bomb(lambda: _sieve("if true {" * 50_000), 4, 200),
    "sieve: lists within lists": Bomb(lambda: _sieve("if header " + "[" * 200_000), 4, 200),
    "settings: lists within lists": Bomb(lambda: _settings("a = " + "[" * 500_000), 5, 200),
    "log: a line of 20 MB": Bomb(
        lambda: _log(_LOG_START + b"; from=<" * 2_500_000 + b"\n"), 3, 300
    ),
    "log: 20 MB of brackets in JSON": Bomb(
        lambda: _log(b'{"MESSAGE":' + b"[" * 20_000_000 + b"\n"), 5, 300
    ),
    "mbox: 20 000 From_": Bomb(
        lambda: _mbox(b"From a Mon Nov 23 10:00:00 2026\n\n" * 20_000), 10, 200
    ),
    "mbox: 8 MB of quoted From_": Bomb(
        lambda: _mbox(b"From a Mon Nov 23 10:00:00 2026\n\n" + b">From x\n" * 1_000_000), 4, 200
    ),
}  # fmt: skip
