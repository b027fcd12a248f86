"""`mdeliver dkim`: keys, the records that others look for, and a milter that signs all that leaves.

Without an action  shows the keys, the records to publish, and what the milter and Postfix lack.
                   Nothing is changed and nobody is asked.
Exit status        0 fine; 1 with --check if anything fails, with --rotate if a key waits for its
                   record; 2 usage; 75 while another run goes on; 78 if something is in the way
See also           dkim/*.py; mdeliver(1)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from mdeliver import durable
from mdeliver.audit.names import Live, Names, NamesError, ZoneFiles
from mdeliver.cli.dkimshown import Shown
from mdeliver.dkim import keys, policy, published, record, rotation, setup
from mdeliver.dkim.keys import DkimError, Key
from mdeliver.dkim.senders import Senders, senders
from mdeliver.outcome import one_line
from mdeliver.postfix.changes import SetupError
from mdeliver.postfix.configuration import Postfix, PostfixError
from mdeliver.postfix.settings import reload
from mdeliver.postfix.step import Box

EX_CONFIG = 78
EX_TEMPFAIL = 75

LOCK_WAIT_S = 30
DNS_LIMIT_S = 60

_ACTIONS = ("make", "records", "check", "rotate", "apply", "revert")


class Age(click.ParamType[float]):
    """A number of days: 180d."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        number = str(value).removesuffix("d")
        if not number.isdecimal() or len(number) > 5:
            self.fail(f'"{value}" is no number of days, such as 180d', param, ctx)
        return int(number) * rotation.DAY_S


class _Wanted(NamedTuple):
    """What was asked for."""

    algorithm: keys.Algorithm
    bits: int
    selector: str
    policy: policy.Policy
    older_than: float
    addresses: tuple[str, ...]
    zones: tuple[str, ...]
    resolver: str | None
    directory: str
    configuration: str
    as_json: bool


@click.command(
    name="dkim", short_help="Make keys, show and check the records, have all mail signed."
)
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...")
@click.option("--make", is_flag=True, help="Make a key pair for each domain.")
@click.option("--records", is_flag=True, help="Print the records to publish, as a zone has them.")
@click.option("--check", is_flag=True, help="Compare what DNS says with what is here.")
@click.option("--rotate", is_flag=True, help="Take the next step from the old key to a new one.")
@click.option("--apply", is_flag=True, help="Set up OpenDKIM and Postfix to sign what leaves.")
@click.option("--revert", is_flag=True, help="Take back what --apply has set.")
@click.option(
    "--algorithm", type=click.Choice(keys.ALGORITHMS), default="rsa", help="Of the key; rsa."
)
@click.option("--bits", type=int, default=keys.LEAST_BITS, help="Of an RSA key; 2048.")
@click.option("--selector", default="", metavar="NAME", help="Of the key; the day, unless said.")
@click.option(
    "--policy", type=click.Choice(policy.POLICIES), default="none", help="Of DMARC; none."
)
@click.option(
    "--older-than", type=Age(), default="180d", help="With --rotate: how long a key signs; 180d."
)
@click.option(
    "--address", "addresses", multiple=True, metavar="ADDRESS", help="From which mail leaves."
)
@click.option("--zone", "zones", multiple=True, metavar="FILE", help="Ask a zone file, not DNS.")
@click.option("--resolver", metavar="ADDRESS", help="The name server to ask.")
@click.option("--directory", default=keys.DIRECTORY, help="Where keys are.")
@click.option(
    "--opendkim",
    "configuration",
    default=setup.Milter().configuration,
    metavar="FILE",
    help="OpenDKIM's settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--postfix", "postfix", metavar="DIRECTORY", help="Postfix's configuration.")
def command(domains: tuple[str, ...], postfix: str | None, **given: Any) -> None:
    """Make keys, show and check the records, and have a milter sign all mail that leaves.

    DOMAIN is a domain that mail is sent from; without it, those of Postfix's settings.
    """
    actions = [action for action in _ACTIONS if given.pop(action)]
    if len(actions) > 1:
        raise click.UsageError(" and ".join(f"--{a}" for a in actions) + ": one at a time")
    wanted = _Wanted(**given)
    if wanted.zones and wanted.resolver:
        raise click.UsageError("--zone is asked in the place of --resolver")
    box = Box(Postfix(postfix))
    try:
        work = _Work(box, domains, wanted)
        status = getattr(work, actions[0])() if actions else work.show()
    except (DkimError, SetupError, PostfixError, NamesError) as error:
        _complain(str(error))
        sys.exit(EX_CONFIG)
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        _complain(f"{where}{error.strerror}")
        sys.exit(EX_CONFIG)
    sys.exit(status)


def _complain(words: str) -> None:
    click.echo(f"mdeliver dkim: {one_line(words)}", err=True)


class _Work:
    """What was asked for, done; each action returns the exit status."""

    def __init__(self, box: Box, domains: Sequence[str], wanted: _Wanted) -> None:
        self.box = box
        self.wanted = wanted
        self.shown = Shown(as_json=wanted.as_json)
        self.domains = domains
        self.directory = os.path.abspath(wanted.directory)
        self.milter = setup.Milter(self.directory, wanted.configuration)

    @property
    def senders(self) -> Senders:
        """Who sends. Raises DkimError, PostfixError, OSError."""
        return senders(self.box, self.domains, self.wanted.addresses)

    @property
    def known(self) -> list[Key]:
        """The keys here."""
        return keys.registered(self.directory)

    @property
    def names(self) -> Names:
        """DNS, or what stands in for it."""
        if self.wanted.zones:
            texts = [_zone(path) for path in self.wanted.zones]
            return ZoneFiles(self.wanted.zones, texts)
        return Live(self.wanted.resolver, DNS_LIMIT_S)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One run at a time changes keys."""
        from filelock import FileLock, Timeout

        durable.make_directory(os.path.dirname(self.directory), 0o755)
        durable.make_directory(self.directory, 0o700)
        lock = f"{self.directory}/.lock"
        try:
            with FileLock(lock, timeout=LOCK_WAIT_S, mode=0o600):
                yield
        except Timeout:
            _complain(f"another run holds {lock}")
            sys.exit(EX_TEMPFAIL)

    # --- keys --------------------------------------------------------------------------------

    def make(self) -> int:
        """Make a key for each domain, and show its record."""
        made = []
        with self._alone():
            for domain in self.senders.domains:
                taken = [key for key in self.known if key.domain == domain]
                name = self.wanted.selector or rotation.selector(self.wanted.algorithm, taken)
                group = setup.signer_group()
                bits, algorithm = self.wanted.bits, self.wanted.algorithm
                made.append(keys.make(self.directory, domain, name, algorithm, bits, group))
        for key in made:
            self.shown.say(key.path(self.directory), f"made; {key.algorithm}, {key.bits} bits")
        self.shown.records(self._key_records(made))
        return 0

    def rotate(self) -> int:
        """Take the next step for each domain."""
        wanted, moves = self.wanted, []
        with self._alone():
            names = self.names
            for domain in self.senders.domains:
                moves += rotation.rotate(
                    self.directory,
                    domain,
                    wanted.algorithm,
                    names,
                    older_than_s=wanted.older_than,
                    bits=wanted.bits,
                    group=setup.signer_group(),
                )
            if any(move.done for move in moves) and self._is_set_up():
                self._set_up()
        for move in moves:
            self.shown.say(move.key.name, move.words)
        waiting = [move.key for move in moves if move.key.state == "new"]
        self.shown.records(self._key_records(waiting))
        if not moves:
            self.shown.say("", "no key is old enough to be changed")
        return 1 if any(not move.done for move in moves) else 0

    # --- records -----------------------------------------------------------------------------

    def records(self) -> int:
        """Print every record that is to be published."""
        self.shown.records([*self._key_records(self.known), *self._policy_records()])
        return 0

    def _key_records(self, chosen: Sequence[Key]) -> list[tuple[str, str, str]]:
        """Name, text and what it is, of each key of the domains asked for."""
        found = []
        for key in chosen:
            if key.domain in self.senders.domains and key.state != "retired":
                algorithm, public = keys.public_octets(key.path(self.directory))
                value = record.value_of(algorithm, public)
                found.append((key.name, value, f"DKIM key, {key.state}"))
        return found

    def _policy_records(self) -> list[tuple[str, str, str]]:
        advised = policy.advised(self.senders, self.wanted.policy)
        return [(a.name, a.value, f"{a.kind}{a.note and ': '}{a.note}") for a in advised]

    def check(self) -> int:
        """Compare DNS with what is here."""
        found = list(published.findings(self.senders, self.known, self.directory, self.names))
        found += published.open_keys(self.known, self.directory, setup.signer_group())
        for name, finding in found:
            self.shown.finding(name, finding)
        return 1 if any(finding.level == "failure" for _name, finding in found) else 0

    # --- the milter --------------------------------------------------------------------------

    def _is_set_up(self) -> bool:
        return os.path.exists(f"{self.directory}/keytable")

    def _plan(self) -> setup.Plan:
        return setup.plan(self.box, self.senders, self.known, self.milter)

    def _set_up(self) -> list[str]:
        """Write what OpenDKIM and Postfix lack, and have both read it."""
        wanted = self._plan()
        if wanted.complete:
            return []
        files = setup.apply(wanted, self.box, self.milter)
        _restart_milter()
        if wanted.changes:
            reload(self.box.postfix)
        return files

    def apply(self) -> int:
        """Sign with what is published, from now on."""
        with self._alone():
            self._first_keys()
            files = self._set_up()
        self.box = Box(self.box.postfix)
        self.shown.plan(self._plan(), files)
        return 0

    def _first_keys(self) -> None:
        """Where nothing signs yet, what is published does from now on."""
        for domain in self.senders.domains:
            mine = [key for key in self.known if key.domain == domain]
            if any(key.state == "signing" for key in mine):
                continue
            for key in mine:
                finding = published.key_finding(key, self.directory, self.names)
                if finding.level != "fine":
                    raise DkimError(f"{key.name}: {finding.what}; nothing is signed until it is")
                rotation.take_over(self.directory, key, [])

    def revert(self) -> int:
        """Put everything back."""
        with self._alone():
            files = setup.revert(self.box)
            reload(self.box.postfix)
        _restart_milter()
        self.shown.put_back(files)
        return 0

    def show(self) -> int:
        """Everything that is known without asking anybody."""
        known = self.known
        for key in known:
            self.shown.say(
                key.path(self.directory), f"{key.algorithm}, {key.bits} bits, {key.state}"
            )
        if not known:
            self.shown.say("", "there is no key yet: --make makes one for each domain")
        self.shown.records([*self._key_records(known), *self._policy_records()])
        if any(key.state == "signing" for key in known):
            self.shown.plan(self._plan(), [])
        return 0


def _zone(path: str) -> str:
    return Path(path).read_text("utf-8", "replace")


def _restart_milter() -> None:
    """Have OpenDKIM read its settings again, where systemd runs it; else say that it has to."""
    program = shutil.which("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        click.echo("; OpenDKIM has to be restarted: it is not run by systemd here", err=True)
        return
    done = subprocess.run(
        [program, "restart", "opendkim.service"], capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip()
        _complain(f"OpenDKIM does not start: {said}; see journalctl -u opendkim")
