"""What is done before the server starts, and before it takes other settings.

Looks at    whether the users exist that processes are to run as, and whether TLS can be offered
Imports     what workers would import one by one: they share it once they are forked
Fails with  Deferral: one line with the key
See also    master.py, quickrecords.py
"""

from __future__ import annotations

import grp
import os
import pwd
from importlib import import_module

from mdeliver.lmtp.quickrecords import quicken
from mdeliver.lmtp.wire import tls_context
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.lmtp.settings import Lmtp

_WORKERS_USE = (
    "mdeliver.deliver.transaction",
    "mdeliver.language.compile",
    "mdeliver.deliver.mboxfind",
    "mdeliver.deliver.subscriptions",
    "mdeliver.mime",
    "json",
    "re2",
)
"""What agent.py and others import when it is first needed."""


def prepare(settings: Lmtp) -> None:
    """See that SETTINGS can work here, and import what workers use."""
    if os.geteuid() == 0:
        _see_that_they_exist(settings)
    if settings.tls_certificate:
        try:
            tls_context(settings.tls_certificate, settings.tls_key)
        except OSError as error:
            raise Deferral(f"lmtp.tls_certificate or tls_key: {error}", "4.3.5") from None
    for module in _WORKERS_USE:
        import_module(module)
    # Libraries that the C library loads to learn of a user's groups.
    os.getgrouplist("root", 0)
    quicken()


def _see_that_they_exist(settings: Lmtp) -> None:
    """The users that processes become, none of them root, and the group that they are lent."""
    users = {"front_user": settings.front_user}
    if settings.users == "virtual":
        users["virtual_user"] = settings.virtual_user
    for key, user in users.items():
        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:
            raise Deferral(f"lmtp.{key}: there is no user {user}", "4.3.5") from None
        if uid == 0:
            raise Deferral(f"lmtp.{key}: {user} has rights that it must not have", "4.3.5")
    if settings.users == "system" and settings.mail_group:
        try:
            grp.getgrnam(settings.mail_group)
        except KeyError:
            words = f'there is no group {settings.mail_group}; "" is none'
            raise Deferral(f"lmtp.mail_group: {words}", "4.3.5") from None
