"""Every check that `mdeliver audit` makes, in the order in which it shows them.

A further check is a function in a module beside this one, and a line here. It takes a Host and
gives Findings; it changes nothing, and says of everything that is wrong what to paste.
"""

from __future__ import annotations

from mdeliver.audit import local_delivery, sent_copies
from mdeliver.audit.finding import Check, Finding
from mdeliver.postfix.configuration import PostfixError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

CHECKS = (
    Check("sent-map", "sent copies: the map", sent_copies.map_is_fresh),
    Check("sent-scope", "sent copies: whose", sent_copies.scope_is_sound),
    Check("delimiter", "recipient delimiter", local_delivery.delimiter_is_set),
    Check("mailbox-limit", "size of mailboxes", local_delivery.mailbox_limit_is_large),
)


def run_checks(host: Host, names: tuple[str, ...] = ()) -> Iterator[tuple[Check, Finding]]:
    """The findings of the checks NAMES, () for all; what a check cannot look at is a failure."""
    for check in CHECKS:
        if names and check.name not in names:
            continue
        try:
            for finding in check.run(host):
                yield check, finding
        except (PostfixError, OSError) as error:
            yield check, Finding("failure", f"cannot be checked: {error}", "", "mend what it says")
