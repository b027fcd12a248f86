"""Dovecot's side: where mail is, passwords for Postfix, and folders that programs know.

Places      a Maildir for IMAP and an mbox for POP3, as mdeliver delivers to both
Passwords   a socket in Postfix's queue directory, which Postfix can reach from its chroot
Folders     with the special use that mail programs look for (RFC 6154), so that Sent is Sent
Versions    2.3, and 2.4, where the settings for places have other names and `%u` is `%{user}`
See also    Dovecot's conf.d; README.md on /var/mail; submission.py
"""

from __future__ import annotations

import shutil
import subprocess

from mdeliver.postfix.submission import SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.postfix.step import Box

PLACE = "/etc/dovecot/conf.d/99-mdeliver.conf"
"""Where Debian's dovecot.conf reads further settings; the last that are read hold."""

VERSIONS = ("2.3", "2.4")

_PLACES = {
    "2.3": """\
# IMAP: the Maildir to which mdeliver delivers.
mail_location = maildir:~/Maildir

# POP3: the mbox to which mdeliver delivers, too. ~/.pop3 is for Dovecot's own files.
protocol pop3 {
  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u
}
""",
    "2.4": """\
# IMAP: the Maildir to which mdeliver delivers.
mail_driver = maildir
mail_path = ~/Maildir
# Debian's 10-mail.conf names the mbox here; a Maildir's inbox is the Maildir itself.
mail_inbox_path =

# POP3: the mbox to which mdeliver delivers, too. ~/.pop3 is for Dovecot's own files.
protocol pop3 {
  mail_driver = mbox
  mail_path = ~/.pop3
  mail_inbox_path = /var/mail/%{user}
}
""",
}
"""Where mail is, in the words of each version."""

_TEXT = """\
# For mdeliver and Postfix; made by mdeliver postfix --dovecot. Dovecot {version}.

{places}
# /var/mail is root:mail. The locks are those of Postfix and mdeliver; where procmail still delivers
# it is "dotlock fcntl", since procmail keeps its dotlock while it waits for fcntl.
mail_privileged_group = mail
mbox_write_locks = fcntl dotlock

# Passwords for Postfix, which asks with smtpd_sasl_type = dovecot, smtpd_sasl_path = {socket}.
service auth {{
  unix_listener {queue}/{socket} {{
    mode = 0660
    user = {owner}
    group = {owner}
  }}
}}

# What mail programs look for, by special use: they are made and subscribed to when first needed.
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
  mailbox Archive {{
    special_use = \\Archive
    auto = subscribe
  }}
}}
"""


def text(box: Box, version: str) -> str:
    """The settings for this host's Postfix. Raises PostfixError.

    version  of Dovecot, one of VERSIONS
    """
    return _TEXT.format(
        queue=box.value("queue_directory"),
        owner=box.value("mail_owner"),
        socket=SOCKET,
        version=version,
        places=_PLACES[version],
    )


def installed_version() -> str:
    """That of VERSIONS which is on this host, or the first where there is none."""
    program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if program is None:
        return VERSIONS[0]
    said = subprocess.run(
        [program, "--version"], capture_output=True, timeout=60, check=False
    ).stdout.decode("ascii", "replace")
    numbers = tuple(int(part) for part in said.split(" ")[0].split(".")[:2] if part.isdecimal())
    return VERSIONS[-1] if numbers >= (2, 4) else VERSIONS[0]
