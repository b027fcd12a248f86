"""What holds before any rule is read, as rules text: two stores, one inbox.

BUILT_IN     definitions that every program begins with; site and user may shadow them
SENT_COPIES  rules for users and sites without any file: what one sends appears in Sent, already
             read; what one sends to oneself arrives as well
See also     compile.py, which puts them first; a rule of these is named `built-in:LINE`
"""

from __future__ import annotations

BUILT_IN = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "/var/mail/{user}"
inbox = imap, pop3
"""

SENT_COPIES = """\
if sent by me and addressed to me:
    also file to imap/{sent} as seen
elif sent by me:
    file to imap/{sent} as seen
"""
