"""Dovecot's side: where mail is, passwords for Postfix, and folders that programs know.

Places      a Maildir for IMAP and an mbox for POP3, as mdeliver delivers to both
Passwords   a socket in Postfix's queue directory, which Postfix can reach from its chroot
Folders     with the special use that mail programs look for (RFC 6154), so that Sent is Sent
Versions    2.3; in 2.4 the settings for places have other names (mail_driver, mail_path)
See also    Dovecot's conf.d; README.md on /var/mail; submission.py
"""

from __future__ import annotations

from mdeliver.postfix.submission import SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.postfix.step import Box

PLACE = "/etc/dovecot/conf.d/99-mdeliver.conf"
"""Where Debian's dovecot.conf reads further settings; the last that are read hold."""

_TEXT = """\
# For mdeliver and Postfix; made by mdeliver postfix --dovecot. Dovecot 2.3.

# IMAP: the Maildir to which mdeliver delivers.
mail_location = maildir:~/Maildir

# POP3: the mbox to which mdeliver delivers, too. ~/.pop3 is for Dovecot's own files.
protocol pop3 {{
  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u
}}

# /var/mail is root:mail. The locks are those of Postfix and mdeliver, in their order.
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


def text(box: Box) -> str:
    """The settings for this host's Postfix. Raises PostfixError."""
    return _TEXT.format(
        queue=box.value("queue_directory"), owner=box.value("mail_owner"), socket=SOCKET
    )
