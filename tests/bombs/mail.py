"""Mail that lies somewhere, and what is noted about it: mboxes, logs, names of folders."""

from __future__ import annotations

import json

from tests.bombs.bomb import MEGABYTE, Bomb


def _log(octets: bytes) -> None:
    """Postfix's log, read and reported."""
    from tests.fuzz.logs import maillog

    maillog(octets)


def _decisions(octets: bytes) -> None:
    """The decision log, asked and reported."""
    from tests.fuzz.logs import decisions, reported

    decisions(octets)
    reported(octets)


def _mbox(octets: bytes) -> None:
    from tests.fuzz.tables import mbox

    mbox(octets)


def _replayed(octets: bytes, messages: int) -> None:
    """An mbox as `mdeliver test` goes through it: found, read, decided."""
    from mdeliver.letter import letter_of
    from mdeliver.replay import stores
    from tests.fuzz.decisions import decide
    from tests.fuzz.target import directory, write

    with directory() as made:
        path = write(f"{made}/mbox", octets)
        reading, count = stores.Reader(), 0
        for stored in stores.find(path, folders=True):
            count += 1
            decide(reading.read(stored).letter)
        assert count == messages, count
        assert letter_of(octets).size <= len(octets)


def _looked_at(octets: bytes) -> None:
    """An mbox as pop-sync looks at it, twice."""
    from tests.fuzz.popsync import AGAIN, look_again

    look_again(octets + AGAIN + octets)


_LOG_START = b"Nov 22 10:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 450 "
_REFUSED = (
    b"Nov 22 10:00:00 mail postfix/smtpd[%d]: NOQUEUE: reject: RCPT from x[192.0.2.%d]: 450 4.7.1"
    b" <a%d@b>: Relay access denied; from=<a%d@b> to=<c@d> proto=ESMTP helo=<h%d>\n"
)
_FROM = b"From a Mon Nov 23 10:00:00 2026\n"


def _decision(number: int) -> bytes:
    from tests.fuzz.logs import REPORTED

    said = {**REPORTED[2], "message_id": f"<{number}@x>", "queue_id": f"4F{number}"}
    text = json.dumps(said).replace("x.example", f"x{number}.example")
    return text.encode() + b"\n"


BOMBS: dict[str, Bomb] = {
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
    "log: 20 000 clients": Bomb(
        lambda: _log(b"".join(_REFUSED % (n, n % 250, n, n, n) for n in range(20_000))), 10, 300
    ),
    "log: 20 MB of NUL": Bomb(lambda: _log(b"\0" * (20 * MEGABYTE)), 4, 250),
    "log: 4 MB of lone CR": Bomb(lambda: _log(_LOG_START + b"\r" * (4 * MEGABYTE)), 4, 200),
    "decisions: 1 000 of as many domains": Bomb(
        lambda: _decisions(b"".join(map(_decision, range(1000)))), 6, 200
    ),
    "decisions: 10 MB of brackets": Bomb(
        lambda: _decisions(b'{"time": 1, "actions": ' + b"[" * (10 * MEGABYTE)), 6, 300
    ),
    "mbox: 20 MB in one line": Bomb(lambda: _mbox(_FROM + b"x" * (20 * MEGABYTE)), 4, 300),
    "mbox: 20 MB of NUL": Bomb(lambda: _mbox(_FROM + b"\n" + b"\0" * (20 * MEGABYTE)), 4, 300),
    "mbox: 8 MB of lone CR": Bomb(lambda: _mbox(_FROM + b"\r" * (8 * MEGABYTE)), 4, 200),
    "mbox, replayed: a head of 20 MB": Bomb(
        lambda: _replayed(_FROM + b"X-A: b\n" * (20 * MEGABYTE // 7), 1), 4, 300
    ),
    "mbox, replayed: a million addresses": Bomb(
        lambda: _replayed(_FROM + b"To: " + b"a@b.example, " * 1_000_000 + b"\n\nx\n", 1), 4, 250
    ),
    "mbox, replayed: 500 messages of hostile words": Bomb(
        lambda: _replayed(
            (_FROM + b"Subject: " + b"=?utf-8?q?=41?= " * 200 + b"\n\nx\n\n") * 500, 500
        ),
        8, 150,
    ),
    "pop-sync: 20 MB in one line": Bomb(lambda: _looked_at(_FROM + b"x" * (20 * MEGABYTE)), 8, 500),
}  # fmt: skip
