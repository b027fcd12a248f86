"""What POP3 has downloaded is marked read, archived or deleted in the Maildir.

settings.py   the choices of site and user
entry.py      a message in an mbox
blocks.py     some hundred of them, and what shows that none has changed
mboxindex.py  which messages are in an mbox, without reading it all again
noting.py     what follows from that
ledger.py     what is remembered from one look to the next
links.py      which copy in the Maildir belongs to a message of the mbox
carry.py      what becomes of that copy
bothways.py   what was deleted in IMAP leaves the mbox
fill.py       what is in the inbox already is put into the mbox
sync.py       one look at one user's mboxes
watch.py      is woken when an mbox changes
daemon.py     one user, for ever
people.py     who they are at a site
site.py       all users of the host, each served by a process of theirs
"""
