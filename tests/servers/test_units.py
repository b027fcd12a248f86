"""The systemd units: systemd understands them, and what they leave to the server is enough.

No test can rely on a running systemd: `systemd-analyze verify` reads units without one, and
setpriv(1) gives the server the capabilities that its unit names.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import lacking, open_directory
from tests.launchers import ROOT
from tests.lmtpserver import MDELIVER, Server
from tests.local8 import Person
from tests.servers.mailclients import address
from tests.servers.people import SPOOL, write_rules

pytestmark = pytest.mark.servers

UNITS = sorted((ROOT / "systemd").iterdir())
INSTALLED = "/opt/mdeliver/bin/mdeliver"
"""The program, as the units name it."""


def complaints(directory: Path, unit: Path, text: str) -> str:
    """What systemd says of TEXT in the place of UNIT, the others beside it as they are."""
    program = shutil.which("systemd-analyze")
    if program is None:
        lacking("systemd-analyze is not installed (Debian: systemd)")
    assert program is not None
    for other in UNITS:
        octets = text if other == unit else other.read_text()
        (directory / other.name).write_text(octets.replace(INSTALLED, str(MDELIVER)))
    command = [program, "verify", "--man=no", str(directory / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr + (f"status {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    assert complaints(tmp_path, unit, unit.read_text()) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("KillMode=", "KilMode=", "KilMode"),
        (INSTALLED, "/nowhere/mdeliver", "/nowhere/mdeliver"),
        ("Type=notify", "Type=notified", "notified"),
    ],
)
def test_systemd_tells_of_a_mistake(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    unit = ROOT / "systemd" / "mdeliver-lmtp.service"
    text = unit.read_text()
    assert right in text
    assert said in complaints(tmp_path, unit, text.replace(right, wrong))


@pytest.fixture
def bounded() -> Iterator[Server]:
    """The server with its unit's capabilities and no others."""
    text = (ROOT / "systemd" / "mdeliver-lmtp.service").read_text()
    (named,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    allowed = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in named.split())
    top = open_directory("units")
    server = Server(top, users="system")
    server.before = ["setpriv", "--bounding-set", f"-all,{allowed}", "--inh-caps", "-all"]
    try:
        server.start()
        yield server
    finally:
        try:
            assert server.stop() == 0
        finally:
            shutil.rmtree(top, ignore_errors=True)


def test_the_capabilities_of_the_unit_are_enough(bounded: Server, ann: Person) -> None:
    """Two copies, where users may make none and beside a home that is closed to others."""
    (SPOOL / ann.name).unlink()
    ann.home.chmod(0o700)
    write_rules(ann, 'if subject is "hello":\n    run "touch" "{home}/ran"\n')
    with bounded.client() as client:
        (reply,) = client.deliver(address(ann))
    assert (reply.code, reply.text) == (250, "2.0.0 delivered to 2 places")
    assert (SPOOL / ann.name).stat().st_uid == ann.uid
    assert not (SPOOL / f"{ann.name}.lock").exists()
    assert (ann.home / "ran").exists()


def test_a_worker_has_none_of_them(bounded: Server, ann: Person) -> None:
    with bounded.client() as client:
        client.deliver(address(ann))
    of_ann = [
        text
        for pid in bounded.children()
        if f"\nUid:\t{ann.uid}\t" in (text := Path(f"/proc/{pid}/status").read_text())
    ]
    assert len(of_ann) == 1
    (effective,) = re.findall(r"^CapEff:\t(\w+)$", of_ann[0], re.MULTILINE)
    (permitted,) = re.findall(r"^CapPrm:\t(\w+)$", of_ann[0], re.MULTILINE)
    assert (int(effective, 16), int(permitted, 16)) == (0, 0)
