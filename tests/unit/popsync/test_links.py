"""How the decision log is taken over: each line once, whatever becomes of its files."""

from __future__ import annotations

import json
from pathlib import Path

from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.links import take_over

MBOX = "/var/mail/ann"


def line(message_id: str) -> bytes:
    copy = {"action": "file", "store": "maildir", "path": "/home/ann/Maildir", "flags": (),
            "name": f"1700000000.{message_id}.host"}  # fmt: skip
    post = {"action": "file", "store": "mbox", "path": MBOX, "flags": (), "offset": 0,
            "from_line": "From a@b Tue Nov 14 22:13:20 2023", "length": 100}  # fmt: skip
    return json.dumps({"message_id": message_id, "actions": [copy, post]}).encode() + b"\n"


def taken(state: Path) -> list[str]:
    """The message ids that are known after one more look at the log."""
    ledger = Ledger(str(state), keep=True)
    try:
        with ledger.transaction():
            take_over(str(state), ledger, [MBOX])
        return [delivery.message_id for delivery in ledger.deliveries(MBOX)]
    finally:
        ledger.close()


def test_what_was_taken_is_not_taken_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert taken(tmp_path) == []
    log.write_bytes(line("<1@x>"))
    assert taken(tmp_path) == ["<1@x>"]
    log.write_bytes(line("<1@x>") + line("<2@x>") + line("<3@x>")[:-1])
    assert taken(tmp_path) == ["<1@x>", "<2@x>"]
    log.write_bytes(line("<1@x>") + line("<2@x>") + line("<3@x>"))
    assert taken(tmp_path) == ["<1@x>", "<2@x>", "<3@x>"]


def test_another_log_with_the_inode_of_one_that_is_gone_is_read(tmp_path: Path) -> None:
    """As a new file has it where the old one was removed."""
    log = tmp_path / "log"
    log.write_bytes(line("<1@x>"))
    assert taken(tmp_path) == ["<1@x>"]
    log.write_bytes(line("<2@x>"))
    assert taken(tmp_path) == ["<1@x>", "<2@x>"]
