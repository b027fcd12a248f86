"""The audit's DNS for the checks that deliveries make: their code judges, so that both agree.

See also  authentication/lookups.py
"""

from __future__ import annotations

from ipaddress import ip_address

from mdeliver.authentication import lookups
from mdeliver.authentication.lookups import Unanswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.audit.names import Names


class AsLookups(lookups.Names):
    """Answers of NAMES, in the form that authentication/ asks for."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def _values(self, name: str, kind: str) -> tuple[str, ...]:
        answer = self._names.ask(name, kind)
        if not answer.known:
            raise Unanswered(f"{name} {kind}: {answer.why}")
        return answer.values

    def texts(self, name: str) -> tuple[bytes, ...]:
        """The TXT records of NAME, each in one piece."""
        return tuple([value.encode() for value in self._values(name, "TXT")])

    def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        """The addresses of NAME; KIND: A or AAAA."""
        return tuple([str(ip_address(value)) for value in self._values(name, kind)])

    def exchanges(self, name: str) -> tuple[tuple[int, str], ...]:
        """Preference and host of each MX record of NAME."""
        parted = [value.partition(" ") for value in self._values(name, "MX")]
        return tuple([(int(preference), host) for preference, _, host in parted])

    def pointers(self, name: str) -> tuple[str, ...]:
        """The hosts that the PTR records of NAME say."""
        return self._values(name, "PTR")

    def exists(self, name: str) -> bool:
        """Whether there is NAME, with whatever records."""
        found = self._names.exists(name)
        if found is None:
            raise Unanswered(f"{name}: nobody knows whether it exists")
        return found
