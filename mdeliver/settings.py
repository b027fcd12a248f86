"""What the site says once for all users.

Read from    /etc/mdeliver/mdeliver.toml, if it is there (tomllib is imported only then).
Fails with   SettingsError: one line with file and key; a delivery then defers.
"""

from __future__ import annotations

from mdeliver.record import Record


class Site(Record):
    """Facts about this host that rules may depend on.

    domains              lower-case domains whose mail ends here; () means: the recipient's own
    hostname             this host's name, for file names, Received lines and From_ lines
    recipient_delimiter  characters that part user and extension, such as "+"
    """

    domains: tuple[str, ...] = ()
    hostname: str = "localhost"
    recipient_delimiter: str = "+"
