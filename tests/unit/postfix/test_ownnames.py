"""From which addresses others see mail come: what the audit and the SPF record both go by."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.dkim.senders import senders
from mdeliver.postfix.configuration import Postfix
from mdeliver.postfix.ownnames import sending_addresses
from mdeliver.postfix.step import Box


@pytest.mark.parametrize(
    ("main", "master", "expected"),
    [
        ("", "", ["192.0.2.99", "2001:db8::99"]),
        # Bound for one of them: Postfix goes on as before with the other.
        ("smtp_bind_address = 192.0.2.7\n", "", ["192.0.2.7", "2001:db8::99"]),
        ("", " -o smtp_bind_address6=[2001:db8::7]", ["192.0.2.99", "2001:db8::7"]),
        # Behind a translation of addresses, which proxy_interfaces tells of.
        ("smtp_bind_address = 10.0.0.7\n", "", ["2001:db8::99"]),
        ("smtp_bind_address = 0.0.0.0\n", "", ["192.0.2.99", "2001:db8::99"]),
    ],
)
def test_sending(etc: Path, main: str, master: str, expected: list[str]) -> None:
    with (etc / "main.cf").open("a") as file:
        file.write("compatibility_level = 3.6\nmyhostname = mail.example.org\n")
        file.write("inet_interfaces = 127.0.0.1, [::1]\nmydestination = example.org\n")
        file.write(f"proxy_interfaces = 192.0.2.99, [2001:db8::99], 10.0.0.1\n{main}")
    (etc / "master.cf").write_text(f"smtp unix - - n - - smtp{master}\n")
    box = Box(Postfix(str(etc)))
    assert [str(address) for address in sending_addresses(box)] == expected
    assert [str(address) for address in senders(box).addresses] == expected
