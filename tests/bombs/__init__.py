"""Input made to take time or memory out of proportion, and what each may take.

    python -m tests.bombs NAME

does one in a process of its own, whose CPU time and memory tests/unit/test_bombs.py looks at. What
is said of a bomb is asserted where it stands; the limits are a few times what was measured.

messages.py   sessions of LMTP, messages on standard input
senders.py    what is signed, sealed, or stands in the DNS
files.py      what users write: rules, procmailrc, Sieve, settings; procmail's way with a message
mail.py       mail that lies somewhere, and what is noted about it: mboxes, logs, names
"""
