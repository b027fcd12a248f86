"""tests/cases/authentication/*.test: what records in the DNS make of a client and a message."""

from __future__ import annotations

import pytest

from mdeliver.authentication.client import Client
from mdeliver.authentication.dmarc import check_dmarc
from mdeliver.authentication.lookups import ZoneFile, ascii_domain
from mdeliver.authentication.results import Result
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


def _found(method: str, name: str, domain: str) -> Result:
    result = {"-": "none", "?": "temperror"}.get(domain, "pass")
    return Result(method, result, ((name, domain),) if result == "pass" else ())


@pytest.mark.parametrize(
    "case", [c for c in cases("authentication") if c.file.stem == "dmarc"], ids=str
)
def test_dmarc(case: Case) -> None:
    names = ZoneFile(case.sections["zone"])
    wrong = []
    for line in case.sections["asked"].splitlines():
        authors, sender, signers, expected, policy = line.split()
        domains = tuple(map(ascii_domain, authors.split(",")))
        spf = _found("spf", "smtp.mailfrom", sender)
        dkim = tuple(_found("dkim", "header.d", signer) for signer in signers.split(","))
        found = check_dmarc(domains, 1, spf, dkim, names)
        if (found.result, found.value("policy.dmarc") or "-") != (expected, policy):
            wrong.append(f"{line}\n    instead: {found}")
    assert not wrong, "\n".join(wrong)
