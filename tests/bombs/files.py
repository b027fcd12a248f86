"""What users write: rules, procmailrc, Sieve, settings; and procmail's own way with a message."""

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


def _run(rcfile: str, message: bytes = b"Subject: x\n\nbody\n") -> None:
    """What procmail would do, by a file or with a message that nobody wrote by hand."""
    from tests.fuzz.programs import MESSAGE, procmail_run

    procmail_run(rcfile.encode() + MESSAGE + message)


def _settings(text: str) -> None:
    from tests.fuzz.tables import settings

    settings(text.encode())


_ASKS = ":0\n* ^TO_ann\n* ^Subject:.*\\/(a|b)+\nx\n:0HB\n* ! (a*)*b$\n* > 10\ny/\n:0:\nz\n"

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
    "sieve: a text of 2 MB that never ends": Bomb(
        lambda: _sieve('if header :is "a" "' + "\\\\" * MEGABYTE), 4, 200
    ),
    "sieve: 20 000 commands": Bomb(lambda: _sieve("keep;\n" * 20_000), 12, 200),
    "procmail: a head of 4 MB": Bomb(
        lambda: _run(_ASKS, b"X-A: b\n" * (4 * MEGABYTE // 7) + b"\nx\n"), 4, 250
    ),
    "procmail: a head of 4 MB of folds": Bomb(
        lambda: _run(_ASKS, b"Subject:" + b" a\n" * MEGABYTE + b"\nx\n"), 8, 600
    ),
    "procmail: a body of 4 MB of From_": Bomb(
        lambda: _run(_ASKS, b"A: b\n\n" + b"From x\n" * (4 * MEGABYTE // 7)), 8, 500
    ),
    "procmail: a body of 4 MB of NUL": Bomb(
        lambda: _run(_ASKS, b"A: b\n\n" + b"\0" * (4 * MEGABYTE)), 4, 250
    ),
    "procmail: clones of clones": Bomb(lambda: _run(":0c\n{\n" * 50 + "}\n" * 50), 4, 150),
    "procmail: it begins anew, for ever": Bomb(lambda: _run("SWITCHRC=.procmailrc\n"), 5, 150),
    "procmail: a variable doubled 60 times": Bomb(
        lambda: _run("A=xx\n" + "A=$A$A\n" * 60 + ":0\n* A ?? xxxx\n$A\n"), 4, 150
    ),
}  # fmt: skip
