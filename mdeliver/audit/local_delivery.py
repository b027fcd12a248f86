"""Checks of sizes and addresses: the recipient delimiter, and how large messages and mboxes get.

See also  postconf(5), recipient_delimiter, mailbox_size_limit, message_size_limit
"""

from __future__ import annotations

import os
import stat

from mdeliver.audit.finding import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_SMALL_OCTETS = 5_000_000
"""Below this, messages are refused that nearly every other server takes."""


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
    """Whether deliveries may write files as large as mboxes get.

    local(8) sets the limit for every file that a command writes (RLIMIT_FSIZE), and keeps to it
    where it writes mboxes itself.
    """
    try:
        limit = int(host.value("mailbox_size_limit") or "0")
        message = int(host.value("message_size_limit") or "0")
    except ValueError:
        yield Finding("failure", "a size limit in main.cf is no number", "", "set a number")
        return
    writes_files = host.value("mailbox_command") or host.value("mailbox_command_maps")
    if host.value("mailbox_transport") or not (writes_files or _has_mboxes(host)):
        what = "local(8) writes no mboxes"
        if limit:
            what += (
                f": mailbox_size_limit ({limit}) holds for programs of .forward and aliases alone"
            )
        yield Finding("fine", what)
        return
    if limit == 0:
        yield Finding("fine", "mailbox_size_limit is off")
        return
    name, size = _largest(host.value("mail_spool_directory") or "/var/mail")
    full = size >= limit
    yield Finding(
        "failure" if full or message == 0 or limit <= message else "warning",
        f"mailbox_size_limit is {limit} octets"
        + (f", and {name} has {size} already" if size * 2 > limit else "")
        + (f", less than message_size_limit ({message or 'off'})" if limit <= message else ""),
        "it holds for every file that a delivery or a program of it writes, a mailbox_command "
        "too: once an mbox is that large, all mail to it waits in the queue",
        "turn it off, and limit mailboxes by quota",
        ("postconf -e 'mailbox_size_limit = 0'", "postfix reload"),
    )


def _has_mboxes(host: Host) -> bool:
    """Whether local(8) itself delivers to mboxes; a name that ends with / is a Maildir's."""
    is_local = host.value("local_transport").startswith("local")
    return is_local and not host.value("home_mailbox").endswith("/")


def messages_are_limited(host: Host) -> Iterator[Finding]:
    """Whether messages may be as large as people send them, and no larger."""
    try:
        limit = int(host.value("message_size_limit") or "0")
    except ValueError:
        yield Finding("failure", "message_size_limit is no number", "", "set a number")
        return
    setting = ("postconf -e 'message_size_limit = 52428800'", "postfix reload")
    if limit == 0:
        yield Finding(
            "warning",
            "message_size_limit is off",
            "one client can fill the queue's disk, and then no mail comes in",
            "set a limit, such as 50 MB",
            setting,
        )
    elif limit < _SMALL_OCTETS:
        yield Finding(
            "warning",
            f"message_size_limit is {limit} octets",
            "messages with a photo or two are refused",
            "set what others take, 10 to 50 MB",
            setting,
        )
    else:
        yield Finding("fine", f"messages may have {limit} octets")


def _largest(spool: str) -> tuple[str, int]:
    """Path and size of the largest mbox in the spool directory."""
    largest = ("", 0)
    try:
        for entry in os.scandir(spool):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_size > largest[1]:
                largest = (entry.path, status.st_size)
    except OSError:
        pass
    return largest
