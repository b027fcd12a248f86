"""The checked rules of one user, kept while a worker lives and the files stay the same.

Asks       which files there are, and the status of each, before every delivery: nothing is parsed
See also   rulescache.py, which keeps them on disk; agent.py
"""

from __future__ import annotations

from mdeliver.agent import deliver_letter, program_for
from mdeliver.history.account import Account
from mdeliver.outcome import Outcome
from mdeliver.rulescache import RulesCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdeliver.agent import Afterwards
    from mdeliver.envelope import Envelope
    from mdeliver.language.syntax import Program
    from mdeliver.letter import Letter
    from mdeliver.settings import Site


class KeptRules:
    """At most one program."""

    def __init__(self) -> None:
        self._cache: RulesCache | None = None
        self._program: Program | None = None
        self._to_keep = False

    def deliver(
        self,
        letter: Letter,
        envelope: Envelope,
        site: Site,
        state: str,
        environ: Mapping[str, str],
        afterwards: Afterwards,
        rules: str | None = None,
    ) -> Outcome:
        """Deliver LETTER by the rules as they are now.

        state       the state directory, which exists
        afterwards  gets what the answer need not wait for
        rules       the option --rules
        Raises OSError or Deferral as agent.deliver_letter does.
        """
        program = self._program_for(envelope, rules, environ, site)
        if isinstance(program, Outcome):
            account, refusal = Account(envelope, None, site, state), program
            afterwards.append(lambda: account.close(refusal))
            return refusal
        afterwards.append(self._keep)
        return deliver_letter(program, letter, envelope, site, state, rules or "", afterwards)

    def _program_for(
        self, envelope: Envelope, rules: str | None, environ: Mapping[str, str], site: Site
    ) -> Program | Outcome:
        cache = self._cache
        if cache is not None and self._program is not None and cache.holds(envelope, rules):
            return self._program
        cache = RulesCache(envelope, rules, environ)
        found = program_for(cache, envelope, rules, site)
        if isinstance(found, Outcome) or found.notice:
            # In the place of rules that were refused: those may be good a little later.
            self._cache = self._program = None
            return found
        self._cache, self._program, self._to_keep = cache, found, True
        return found

    def _keep(self) -> None:
        """Keep the program on disk too, once."""
        if self._to_keep and self._cache is not None:
            self._to_keep = False
            self._cache.keep()
