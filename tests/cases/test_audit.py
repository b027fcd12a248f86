"""tests/cases/audit/GROUP.test: what is changed on a sound mail server, and what the audit finds.

    main NAME = VALUE       sets it in main.cf
    master OLD => NEW       the first OLD in master.cf becomes NEW; so for `zone` and `dovecot`
    zone + RECORD           a further record of example.org
    mbox NAME MODE          an mbox in the spool directory

A case has these lines and `--- found`, a line for each finding of the group that is not fine, but
for what stands before the first case. `pytest tests/cases --update-cases` rewrites what is found;
read the diff.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver.audit.checks import chosen, run_check
from mdeliver.audit.host import Given, Host
from mdeliver.audit.names import ZoneFiles
from mdeliver.outcome import one_line
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent.settings import BccSettings
from mdeliver.settings import Site
from tests.casefile import Case, cases, update_case
from tests.installation import lacking
from tests.unit.audit.soundbox import SoundBox, certificate


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate; making one takes longer than a case."""
    if shutil.which("postconf", path="/usr/sbin:/usr/bin") is None:
        lacking("Postfix is not installed")
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def sound(tls: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """What Postfix says of the sound server, asked once for all cases that leave it alone."""
    return host_of(SoundBox(tmp_path_factory.mktemp("sound"), tls))


def plant(box: SoundBox, text: str) -> None:
    """Change what TEXT says."""
    files = {"master": box.master, "zone": box.zone, "dovecot": box.dovecot}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        rest = rest.replace("\\n", "\n").replace("{top}", str(box.top))
        if word == "main":
            box.set(rest)
        elif word == "mbox":
            name, _, mode = rest.partition(" ")
            (box.spool / name).touch()
            (box.spool / name).chmod(int(mode, 8))
        elif rest.startswith("+ "):
            box.replace(files[word], "$ORIGIN 2.0.192", f"{rest[2:]}\n$ORIGIN 2.0.192")
        else:
            old, arrow, new = rest.partition(" =>")
            assert arrow, line
            box.replace(files[word], old, new.removeprefix(" "))


def host_of(box: SoundBox) -> Host:
    key = f"example.org:k1:{box.top}/key"
    names = ZoneFiles(["zone"], [box.zone.read_text()])
    given = Given(("192.0.2.25",), (), (key,), str(box.dovecot), etc=str(box.top))
    return Host(Postfix(str(box.etc)), Site(), BccSettings(), "mdeliver.toml", names, given)


def found(box: SoundBox, sound: Host | None, group: str) -> Iterator[str]:
    """What the checks of GROUP find, a line each.

    sound  whose Postfix is asked in the place of the box's own
    """
    host = host_of(box)
    if sound is not None:
        host.box, host.identity = sound.box, sound.identity
    for check in chosen([group]):
        for finding in run_check(check, host):
            if finding.level != "fine":
                what = one_line(finding.what).replace(str(box.top), "{top}")
                yield f"{finding.level} {check.name}: {what}\n"


@pytest.mark.parametrize("case", cases("audit"), ids=str)
def test_case(case: Case, update_cases: bool, tmp_path: Path, tls: Path, sound: Host) -> None:
    group = case.file.stem
    if group == "dovecot" and shutil.which("doveconf") is None:
        lacking("Dovecot is not installed")
    box = SoundBox(tmp_path, tls)
    plant(box, case.text)
    is_changed = any(line.startswith(("main ", "master ")) for line in case.text.splitlines())
    # Where nothing of Postfix's is changed and paths do not matter, its answers are the same.
    asked = sound if group == "dns" and not is_changed else None
    now = "".join(found(box, asked, group))
    if update_cases and case.sections.get("found") != now:
        case.sections["found"] = now
        update_case(case)
    assert case.sections["found"] == now
