"""Imports go downwards only. The table below is the documentation of how the package is built.

A module may import what stands above it in the table: on a floor above (that is: printed earlier)
or earlier on its own floor. For types alone it may also look sideways, on its own floor. A new
module gets its line here, with its floor, or this test fails.
"""

from __future__ import annotations

import pytest

from tests.structure.source import MODULES, NAMES, Module, imports

# From the ground up. Each floor sees those before it, and nothing of those behind it.
FLOORS: tuple[tuple[str, str], ...] = (
    (
        "words: values, limits, no input and no output",
        "mdeliver system record limits outcome envelope diagnostic",
    ),
    (
        "mail as bytes, and the only ways to files",
        """headertext addresses structured message durable locks damage memory mailgroup dotlock
        letter attendance programs rulesfile tomltext pop3choice settings authentication
        authentication.results authentication.wording authentication.client
        authentication.lookups authentication.signed authentication.spf authentication.dkim
        authentication.arc authentication.dmarc authentication.computed authentication.tally
        authentication.tallytext replytext""",
    ),
    (
        "the language: text to Program, pure",
        """language language.syntax language.hints language.values language.lexer
        language.parse_values language.parse_tests language.parser language.printer
        language.prelude language.tables language.scope language.actioncheck language.checker
        language.compile language.findings language.argvlints language.lints""",
    ),
    (
        "meaning: Program and message to Plan, pure",
        """plan outside edits sent sent.evidence deedwords glob htmltext mime folders explain
        conditions conditions.moments conditions.tables scene conditions.texts conditions.facts
        conditions.prefilter
        conditions.duplicate conditions.automatic conditions.authenticated conditions.programs
        answerable actions actions.places actions.headers actions.programs actions.forward
        actions.reply actions.deeds evaluate""",
    ),
    (
        "effects: Plan to mailboxes, as one transaction",
        """deliver deliver.mboxrd deliver.mboxfind deliver.journalline deliver.journalfile
        deliver.journal deliver.quota deliver.subscriptions deliver.contents deliver.maildir
        deliver.mboxlock deliver.mboxturn deliver.mbox
        deliver.kept deliver.pipe deliver.sendmail deliver.forward deliver.reply
        deliver.deliverers deliver.steps deliver.transaction deliver.together
        deliver.remembered deliver.outside""",
    ),
    (
        "one message for one user, from edge to outcome; for many, without the effects",
        """intake rulescache history history.decisions history.syslog history.damaged
        history.account sent.filing decision replay replay.mboxread replay.stores
        replay.rehearsal replay.workers replay.fates replay.against replay.casefindings
        replay.cases replay.expectations replay.trial acceptance agent history.recall
        history.records history.steps history.folders history.keywords history.held
        history.wishes history.apply""",
    ),
    (
        "the LMTP server: sessions, processes, the launcher's door",
        """lmtp lmtp.commands lmtp.content lmtp.events lmtp.protocol lmtp.settings lmtp.logins
        lmtp.accounts lmtp.systemd lmtp.listeners lmtp.frames lmtp.wire lmtp.jobs lmtp.parcel
        lmtp.crew lmtp.sessions lmtp.front lmtp.keptrules lmtp.rounds lmtp.door lmtp.worker
        lmtp.forked lmtp.identity lmtp.watch lmtp.quickrecords lmtp.prepare
        lmtp.gaps lmtp.rehearsal
        lmtp.master""",
    ),
    (
        "what POP3 has downloaded: carried over to the Maildir",
        """popsync popsync.settings popsync.choicefindings popsync.entry popsync.blocks
        popsync.mboxindex popsync.ledger popsync.links popsync.carry popsync.noting
        popsync.bothways popsync.fill popsync.sync popsync.accounts popsync.watch
        popsync.asbefore popsync.daemon popsync.people popsync.site""",
    ),
    (
        "what Postfix is told and asked: settings, tables, sent copies",
        """postfix postfix.configuration sent.files postfix.changes sent.keys sent.mailaddress
        sent.owners sent.sources sent.settings sent.tables sent.generate sent.setup
        sent.socketmap sent.server postfix.restrictions postfix.step postfix.ownnames
        postfix.greeting postfix.standards postfix.submission postfix.ways postfix.settings
        postfix.dovecot audit audit.finding audit.names audit.doveconf audit.identity
        audit.lookups audit.spfquery dkim dkim.keys dkim.record dkim.senders dkim.policy
        dkim.published dkim.rotation dkim.opendkim dkim.setup audit.host audit.sent_copies
        audit.local_delivery audit.lookuptables audit.relay audit.standards audit.passwords
        audit.certificate audit.wiring audit.reverse audit.domains audit.dovecot
        audit.mailboxes audit.dmarc audit.spf audit.signers audit.dkim audit.transport
        audit.checks""",
    ),
    (
        "what Postfix says: its log, and what it refused",
        """postfix.checks postfix.maillog postfix.events postfix.condense postfix.history
        postfix.judgement postfix.remedies postfix.logfiles postfix.readlogs postfix.rejects
        postfix.rejectstext""",
    ),
    (
        "other programs' rules: what they do, and the same in our words",
        """procmail procmail.syntax procmail.words procmail.parser procmail.pattern
        procmail.automaton procmail.matcher procmail.condition procmail.score procmail.mail
        procmail.formail procmail.expand procmail.fate procmail.world procmail.state
        procmail.testing procmail.deeds procmail.machine procmail.wording procmail.re2text
        procmail.linetext procmail.values procmail.packed procmail.mailer procmail.translate
        procmail.report procmail.rules procmail.mhfolders procmail.definitions
        procmail.overview procmail.folders procmail.symbols procmail.commands
        procmail.convertactions procmail.scorewords
        procmail.convertconditions procmail.level procmail.special procmail.advice
        procmail.assignments procmail.converter procmail.octets procmail.proof
        procmail.tally
        sieve sieve.reader sieve.measures sieve.tests sieve.converter sieve.proof""",
    ),
    (
        "the command line",
        """cli cli.output cli.proving cli.convert cli.surroundings cli.apply cli.pop_sync
        cli.log cli.reporting cli.rejects cli.report cli.check cli.deliver cli.lmtp
        cli.dkimshown cli.dkim
        cli.demo.stage cli.demo.lmtp cli.demo cli.test cli.bcc_serve cli.bcc_maps cli.postfix
        cli.audit""",
    ),
    ("the edge of the process", "__main__"),
)

# Neighbours that must not know each other: the left never imports the right.
STRANGERS = (
    ("mdeliver.language", "mdeliver.deliver"),  # they meet only through plan
    ("mdeliver.language", "mdeliver.durable"),
    ("mdeliver.deliver", "mdeliver.language"),
    ("mdeliver.deliver", "mdeliver.evaluate"),
    ("mdeliver.deliver", "mdeliver.message"),  # deliverers copy bytes, they do not read headers
    ("mdeliver.conditions", "mdeliver.actions"),
    ("mdeliver.actions", "mdeliver.conditions"),
)

# Third-party packages and who may import them; everywhere else they would cost every delivery.
THIRD_PARTY = {
    "cryptography": ("mdeliver.dkim", "mdeliver.audit"),
    "dkim": ("mdeliver.dkim", "mdeliver.authentication"),
    "click": ("mdeliver.cli",),
    "filelock": ("mdeliver.cli", "mdeliver.sent"),  # our own state; never a mailbox
    "dns": ("mdeliver.authentication", "mdeliver.audit"),
    "inotify_simple": ("mdeliver.popsync",),
    "mailparser": ("mdeliver.cli", "mdeliver.explain"),  # never between a message and delivery
    "xdg": ("mdeliver.cli", "mdeliver.rulesfile", "mdeliver.settings"),
    "publicsuffixlist": ("mdeliver.authentication",),
    "spf": ("mdeliver.authentication", "mdeliver.audit"),
    "srslib": ("mdeliver.actions",),
    "sievelib": ("mdeliver.sieve",),
    "re2": ("mdeliver.language", "mdeliver.conditions", "mdeliver.procmail"),
}


def _named(short: str) -> str:
    return short if short == "mdeliver" else f"mdeliver.{short}"


ORDER = [_named(short) for _, names in FLOORS for short in names.split()]
FLOOR = {_named(short): n for n, (_, names) in enumerate(FLOORS) for short in names.split()}


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_every_module_has_its_floor() -> None:
    assert sorted(NAMES - set(ORDER)) == []


def test_the_table_names_no_module_twice() -> None:
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_go_downwards(module: Module) -> None:
    wrong = []
    for target, line, for_types in imports(module.tree):
        if target not in NAMES or module.name not in FLOOR or target not in FLOOR:
            continue
        sideways = for_types and FLOOR[target] == FLOOR[module.name]
        if ORDER.index(target) >= ORDER.index(module.name) and not sideways:
            wrong.append(f"{module.path}:{line}: {target} stands above {module.name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_strangers_stay_strangers(module: Module) -> None:
    wrong = [
        f"{module.path}:{found.line}: {module.name} must not know {found.target}"
        for found in imports(module.tree)
        for left, right in STRANGERS
        if _within(module.name, left) and _within(found.target, right)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_third_party_packages_only_where_they_belong(module: Module) -> None:
    import sys

    wrong = []
    for found in imports(module.tree):
        top = found.target.partition(".")[0]
        if top == "mdeliver" or top in sys.stdlib_module_names:
            continue
        if not any(_within(module.name, place) for place in THIRD_PARTY.get(top, ())):
            wrong.append(f"{module.path}:{found.line}: {top} does not belong in {module.name}")
    assert not wrong, "\n".join(wrong)
