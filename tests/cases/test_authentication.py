"""tests/cases/authentication/*.test: what records in the DNS make of a client and a message."""

from __future__ import annotations

import pytest

from mdeliver.authentication.client import Client
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.authentication.spf import check_spf
from tests.casefile import Case, cases


@pytest.mark.parametrize(
    "case", [c for c in cases("authentication") if c.file.stem == "spf"], ids=str
)
def test_spf(case: Case) -> None:
    names = ZoneFile(case.sections["zone"])
    wrong = []
    for line in case.sections["asked"].splitlines():
        address, helo, sender, expected = line.split()
        client = Client(address, "", helo, "")
        found = check_spf(client, "" if sender == "-" else sender, names, (), "here.example")
        if found.result != expected:
            wrong.append(f"{line}\n    instead: {found.result}: {found.reason}")
    assert not wrong, "\n".join(wrong)
