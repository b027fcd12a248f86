"""The checked rules of one user, kept while a worker lives and the files stay the same.

Asks       which files there are, and the status of each, before every round of deliveries: nothing
           is parsed
Serves     whoever would read the same: another home, XDG_CONFIG_HOME or --rules is another program,
           and so are other settings, where there are cases to be tried by them
See also   rulescache.py, which keeps them on disk; agent.py
"""

from __future__ import annotations

from mdeliver.agent import program_for
from mdeliver.conditions.prefilter import Prefilter
from mdeliver.outcome import Outcome
from mdeliver.rulescache import RulesCache
from mdeliver.rulesfile import users_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdeliver.envelope import Envelope
    from mdeliver.language.syntax import Program
    from mdeliver.settings import Site


class KeptRules:
    """At most one program."""

    def __init__(self) -> None:
        self._cache: RulesCache | None = None
        self._program: Program | None = None
        self._to_keep = False
        self._looked_for: tuple[str, str, str, str | None, Site] | None = None
        self.prefilter: Prefilter | None = None
        """Of the program that was asked for last."""

    def look_again(self) -> None:
        """What was found to be the same is looked at anew, once."""
        self._looked_for = None

    def program(
        self, envelope: Envelope, rules: str | None, environ: Mapping[str, str], site: Site
    ) -> Program | Outcome:
        """The rules as they are now; the outcome of every message where they are bad.

        rules    the option --rules
        environ  what names the user's directories
        Raises OSError or Deferral as agent.program_for does.
        """
        cache = self._cache
        home = envelope.home
        asked = (envelope.user, home, users_directory(home), rules, site)
        if self._program is not None and cache is not None:
            same = asked == self._looked_for or cache.holds(envelope, rules, site)
            self._looked_for = asked if same else None
            if same:
                return self._program
        cache = RulesCache(envelope, rules, environ, site)
        found = program_for(cache, envelope, rules, site)
        if isinstance(found, Outcome) or found.notice:
            # In the place of rules that were refused: those may be good a little later.
            self._cache = self._program = self.prefilter = None
            return found
        self._cache, self._program, self._to_keep = cache, found, True
        self.prefilter = Prefilter(found)
        return found

    def keep(self) -> None:
        """Keep the program on disk too, once."""
        if self._to_keep and self._cache is not None:
            self._to_keep = False
            self._cache.keep()
