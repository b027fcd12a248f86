"""What checks look at: Postfix's settings and services, the site's own, DNS; each read once.

Fails with  PostfixError where Postfix cannot be asked
"""

from __future__ import annotations

from functools import cached_property

from mdeliver.audit import doveconf
from mdeliver.audit.identity import Identity, identify
from mdeliver.postfix.configuration import Postfix, PostfixError, Service
from mdeliver.postfix.step import Box, Wish
from mdeliver.record import Record
from mdeliver.sent.settings import BccSettings
from mdeliver.sent.setup import demands_auth
from mdeliver.settings import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.audit.doveconf import Section
    from mdeliver.audit.names import Names

LOOPBACK = ("127.", "localhost:", "[::1]:")
"""How names of services begin that only this host reaches."""


class Given(Record):
    """What the administrator says of the host, in the place of what is found.

    addresses  from which mail leaves; () for those of Postfix's settings and interfaces
    domains    of senders; () for those of Postfix's settings
    dkim       `DOMAIN:SELECTOR` or `DOMAIN:SELECTOR:KEY FILE`, further keys
    doveconf   Dovecot's configuration file; "" for its own
    launcher   path of mdeliver-lda
    etc        where milters have their settings
    """

    addresses: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    dkim: tuple[str, ...] = ()
    doveconf: str = ""
    launcher: str = Wish().launcher
    etc: str = "/etc"


class Host:
    """This host, as far as it was asked for."""

    def __init__(
        self,
        postfix: Postfix,
        site: Site,
        bcc: BccSettings,
        settings_path: str,
        names: Names | None = None,
        given: Given | None = None,
        fetch_policy: Callable[[str], str] | None = None,
    ) -> None:
        """Look at POSTFIX, with what SITE and BCC set for mdeliver.

        names  knows DNS; without it whoever asks gets an AttributeError
        fetch_policy  fetches MTA-STS policies; None to fetch none
        """
        self.postfix = postfix
        self.site = site
        self.bcc = bcc
        self.settings_path = settings_path
        self.given = given or Given()
        self.box = Box(postfix)
        self.fetch_policy = fetch_policy
        if names is not None:
            self.names = names
        self._dovecot: dict[str, Section] = {}
        self._looked_up: dict[tuple[str, str], str] = {}

    def value(self, name: str) -> str:
        """A setting of main.cf."""
        return self.box.value(name)

    @property
    def services(self) -> list[Service]:
        """The lines of master.cf."""
        return self.box.services

    def value_for(self, service: Service, name: str) -> str:
        """A setting as SERVICE has it: its own, else main.cf's."""
        return self.box.value_for(service, name)

    @cached_property
    def public_services(self) -> list[Service]:
        """The smtpd services that others than this host reach: also behind postscreen."""
        return [
            service
            for service in self.services
            if service.program == "smtpd"
            and service.name.endswith(("/inet", "/pass"))
            and not service.name.startswith(LOOPBACK)
        ]

    @cached_property
    def services_for_strangers(self) -> list[Service]:
        """Those of them that take mail from whoever brings it."""
        return [service for service in self.public_services if not demands_auth(service)]

    @cached_property
    def identity(self) -> Identity:
        """Who this host is to others. Raises PostfixError, OSError."""
        return identify(self)

    def dovecot(self, protocol: str) -> Section | None:
        """Dovecot's settings for a protocol; None without Dovecot. Raises DovecotError."""
        if not doveconf.is_installed():
            return None
        if protocol not in self._dovecot:
            self._dovecot[protocol] = doveconf.ask(self.given.doveconf, protocol)
        return self._dovecot[protocol]

    def look_up(self, table: str, key: str) -> str:
        """What TABLE (`TYPE:NAME`) says of KEY; "" where it says nothing.

        Raises PostfixError for a table that cannot be read.
        """
        if (table, key) not in self._looked_up:
            self._looked_up[table, key] = self.postfix.look_up(table, key)
        return self._looked_up[table, key]

    def answer_of(self, table: str, key: str) -> str:
        """What TABLE says of KEY; "" also where it cannot say: the check of tables tells so."""
        try:
            return self.look_up(table, key)
        except PostfixError:
            return ""

    def trouble_with(self, table: str) -> str:
        """Why TABLE cannot be read; "" if it can."""
        try:
            self.look_up(table, "mail-probe.example")
        except PostfixError as error:
            return str(error)
        return ""
