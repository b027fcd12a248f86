"""What checks look at: Postfix's settings and services, the site's own settings; each read once.

Fails with  PostfixError where Postfix cannot be asked
"""

from __future__ import annotations

from functools import cached_property

from mdeliver.postfix.configuration import Postfix, Service
from mdeliver.sent.settings import BccSettings
from mdeliver.settings import Site


class Host:
    """This host, as far as it was asked for."""

    def __init__(self, postfix: Postfix, site: Site, bcc: BccSettings, settings_path: str) -> None:
        self.postfix = postfix
        self.site = site
        self.bcc = bcc
        self.settings_path = settings_path
        self._values: dict[str, str] = {}

    def value(self, name: str) -> str:
        """A setting of main.cf."""
        if name not in self._values:
            self._values[name] = self.postfix.value(name)
        return self._values[name]

    @cached_property
    def services(self) -> list[Service]:
        """The lines of master.cf."""
        return self.postfix.services()

    def value_for(self, service: Service, name: str) -> str:
        """A setting as SERVICE has it: its own, else main.cf's."""
        return service.settings.get(name, self.value(name))
