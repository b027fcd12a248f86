"""The checked rules of one user, kept while a worker lives and the files stay the same.

Asks       which files there are, and the status of each, before every round of deliveries: nothing
           is parsed. Once a round too what the user chose for POP3.
Serves     whoever asks the same: another home, XDG_CONFIG_HOME, --rules or --settings is another
           program
See also   rulescache.py, which keeps them on disk; agent.py
"""

from __future__ import annotations

from mdeliver.agent import program_for
from mdeliver.conditions.prefilter import Prefilter
from mdeliver.outcome import Outcome
from mdeliver.pop3choice import as_the_user_chose
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
        self._asked: tuple[object, ...] = ()
        """Whose program it is, and by which settings."""
        self._is_fresh = False
        """Whether it was looked at in this round."""
        self._choice: Site | None = None
        self.prefilter: Prefilter | None = None
        """Of the program that was asked for last."""

    def look_again(self) -> None:
        """What was found to be the same is looked at anew, once."""
        self._is_fresh = False

    def program(
        self, envelope: Envelope, rules: str | None, environ: Mapping[str, str], site: Site
    ) -> Program | Outcome:
        """The rules as they are now; the outcome of every message where they are bad.

        rules    the option --rules
        environ  what names the user's directories
        Raises OSError or Deferral as agent.program_for does.
        """
        home = envelope.home
        asked = (envelope.user, envelope.uid, home, users_directory(home), rules, site)
        if self._program is not None and self._cache is not None and asked == self._asked:
            if self._is_fresh:
                return self._program
            if self._cache.holds():
                self._is_fresh, self._choice = True, None
                return self._program
        self._is_fresh, self._choice = False, None
        cache = RulesCache(envelope, rules, environ, site)
        found = program_for(cache, envelope, rules, site)
        if isinstance(found, Outcome) or found.notice:
            # In the place of rules that were refused: those may be good a little later.
            self._cache = self._program = self.prefilter = None
            return found
        self._cache, self._program, self._asked = cache, found, asked
        self._to_keep = True
        self.prefilter = Prefilter(found)
        return found

    def chosen(self, site: Site, home: str, uid: int) -> Site:
        """SITE with the choice of the user whose rules were asked for last (pop3choice.py)."""
        if self._choice is None:
            self._choice = as_the_user_chose(site, home, uid)
        return self._choice

    def keep(self) -> None:
        """Keep the program on disk too, once."""
        if self._to_keep and self._cache is not None:
            self._to_keep = False
            self._cache.keep()
