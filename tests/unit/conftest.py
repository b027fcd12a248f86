"""A Postfix configuration of a test's own, without a server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.installation import lacking

MAIN_CF = """\
compatibility_level = 3.6
mydomain = example.org
myorigin = $mydomain
mydestination = $mydomain, example.net, localhost
virtual_mailbox_domains = virtual.example
virtual_alias_domains = alias.example
recipient_delimiter = +
"""

MASTER_CF = """\
smtp       inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Postfix's configuration directory."""
    if shutil.which("postconf", path="/usr/sbin:/usr/bin") is None:
        lacking("Postfix is not installed")
    made = tmp_path / "postfix"
    made.mkdir()
    (made / "main.cf").write_text(MAIN_CF)
    (made / "master.cf").write_text(MASTER_CF)
    return made
