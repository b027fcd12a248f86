"""Checks of local(8): the recipient delimiter, and the limit on what a delivery may write.

See also  postconf(5), recipient_delimiter, mailbox_size_limit
"""

from __future__ import annotations

import os
import stat

from mdeliver.audit.finding import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

SPOOL = "/var/mail"


def delimiter_is_set(host: Host) -> Iterator[Finding]:
    """Whether Postfix parts extensions, and mdeliver knows by what."""
    delimiter = host.value("recipient_delimiter")
    ours = host.site.recipient_delimiter
    if not delimiter:
        yield Finding(
            "failure" if host.bcc.tagged else "warning",
            "recipient_delimiter is empty",
            "addresses such as ann+lists@ do not exist, nor do secret Sent addresses: "
            "copies go without tags, which over LMTP is no evidence of anything",
            "set it",
            ("postconf -e 'recipient_delimiter = +'", "postfix reload"),
        )
    elif set(delimiter) != set(ours):
        yield Finding(
            "failure",
            f'recipient_delimiter is "{delimiter}" for Postfix and "{ours}" for mdeliver',
            "addresses with an extension are not taken for the user's own",
            f"say the same in {host.settings_path}",
            ("[site]", f'recipient_delimiter = "{delimiter}"'),
        )
    else:
        yield Finding("fine", f'recipient_delimiter is "{delimiter}"')


def mailbox_limit_is_large(host: Host) -> Iterator[Finding]:
    """Whether deliveries by mailbox_command may write files as large as mboxes get.

    local(8) sets the limit for every file that a command writes (RLIMIT_FSIZE).
    """
    if not (host.value("mailbox_command") or host.value("mailbox_command_maps")):
        yield Finding(
            "fine", "local(8) runs no mailbox_command: mailbox_size_limit does not matter"
        )
        return
    limit = int(host.value("mailbox_size_limit") or "0")
    if limit == 0:
        yield Finding("fine", "mailbox_size_limit is off")
        return
    name, size = _largest()
    full = size >= limit
    yield Finding(
        "failure" if full or limit <= int(host.value("message_size_limit") or "0") else "warning",
        f"mailbox_size_limit is {limit} octets"
        + (f", and {name} has {size} already" if size * 2 > limit else ""),
        "it holds for every file that a delivery writes: once an mbox is that large, all mail to "
        "it waits in the queue",
        "turn it off, and limit mailboxes by quota",
        ("postconf -e 'mailbox_size_limit = 0'", "postfix reload"),
    )


def _largest() -> tuple[str, int]:
    """Path and size of the largest mbox in the spool directory."""
    largest = ("", 0)
    try:
        for entry in os.scandir(SPOOL):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_size > largest[1]:
                largest = (entry.path, status.st_size)
    except OSError:
        pass
    return largest
