"""A domain that is all somebody's: whoever sends there makes up the names of its users."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.lmtpserver import Server


def test_no_name_leads_out_of_its_directory(make: Callable[..., Server]) -> None:
    server = make().start()
    users = server.top / "users"
    users.write_text("@example.com\n")
    # Long ago: what is not in a table that was just changed is put off.
    os.utime(users, (0, 0))
    inside = server.top / "homes" / "ann"
    with server.client() as client:
        (reply,) = client.deliver(f"../..{inside}/evil@example.com")
    # Nobody has made an mbox for a user of that name.
    assert reply.code == 451, reply
    assert not Path(f"{inside}/evil@example.com").exists()
