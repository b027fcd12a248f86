"""What to do: lines to paste are made of addresses alone, and none opens the relay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mdeliver.postfix.events import Refusal
from mdeliver.postfix.history import Attempt
from mdeliver.postfix.remedies import Remedy, remedy_for


def remedy(check: str, client: str = "192.0.2.1", action: str = "refused") -> Remedy:
    return remedy_for(
        Attempt(Refusal(0.0, action, check, "RCPT", "", client, "", "550 x"), "", "", "")
    )


def test_a_client_is_named_by_its_address() -> None:
    found = remedy("reject_unknown_helo_hostname")
    assert (found.file, found.line) == ("/etc/postfix/client_access.cidr", "192.0.2.1/32 OK")
    assert found.setting.endswith("before reject_unknown_helo_hostname")


def test_postscreen_has_a_list_of_its_own() -> None:
    found = remedy("postscreen_greet_action", "2001:db8::1")
    assert found.line == "2001:db8::1/128 permit"
    assert found.setting.startswith("postscreen_access_list = ")


@pytest.mark.parametrize("client", ["unknown", "127.0.0.1", "::1", "1.2.3.4 OK\n0.0.0.0/0", "::%x"])
def test_no_line_for_what_is_no_address_of_somebody_else(client: str) -> None:
    assert remedy("reject_unknown_helo_hostname", client).line == ""


@pytest.mark.parametrize("check", ["reject_unauth_destination", "reject_unlisted_recipient"])
def test_no_line_opens_the_relay(check: str) -> None:
    assert remedy(check).line == ""


@pytest.mark.parametrize("action", ["discarded", "held"])
def test_no_line_for_what_a_table_here_says(action: str) -> None:
    assert remedy("check_recipient_access", action=action).line == ""


def test_postfix_understands_the_lines(tmp_path: Path) -> None:
    table = tmp_path / "access.cidr"
    lines = [remedy("reject_rbl_client", client).line for client in ("192.0.2.1", "2001:db8::1")]
    table.write_text("".join(f"{line}\n" for line in lines))
    try:
        asked = subprocess.run(
            ["/usr/sbin/postmap", "-q", "2001:db8::1", f"cidr:{table}"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("postfix is not installed")
    assert asked.stdout == b"OK\n", asked.stderr
