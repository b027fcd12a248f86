"""Where one user's mail is: the mboxes and Maildirs of the inbox, and those called pop3 and imap.

Fails with OSError, Deferral where rules or settings have an error
See also   history/folders.py, settings.py
"""

from __future__ import annotations

from collections.abc import Mapping

from mdeliver import system
from mdeliver.decision import load_rules, rules_error
from mdeliver.envelope import Envelope
from mdeliver.history.folders import Places
from mdeliver.intake import state_directory
from mdeliver.outcome import Deferral
from mdeliver.popsync.settings import PopSync, with_users_choices
from mdeliver.popsync.sync import Account
from mdeliver.settings import Site


def account_of(
    envelope: Envelope,
    environ: Mapping[str, str],
    site: Site,
    choices: PopSync,
    rules: str | None = None,
    seen: dict[str, system.stat_result] | None = None,
) -> Account:
    """The account of the user of ENVELOPE, as whom we run already.

    choices  the site's
    rules    the option --rules
    seen     gets the status of every rules file that was read, by its path
    """
    compiled = load_rules(envelope.home, envelope.uid, rules, seen)
    if compiled.program is None:
        raise Deferral(rules_error(compiled).text, "4.3.5")
    places = Places(compiled.program, envelope, site, rules)
    # Where rules have left the mbox out of the inbox, what it got before is downloaded still.
    inbox = places.inbox(None)
    files = dict.fromkeys([*inbox, *places.named("pop3"), *places.named("imap")])
    config = environ.get("XDG_CONFIG_HOME", "")
    return Account(
        envelope.user,
        state_directory(envelope, environ),
        site.hostname,
        tuple(dict.fromkeys([file.path for file in files if file.store == "mbox"])),
        tuple(dict.fromkeys([file.root for file in files if file.store == "maildir"])),
        with_users_choices(choices, envelope.home, envelope.uid, config),
        inbox,
    )
