"""What was done, and by which rule: the decision log; rules over mail that is there, and back.

account.py    one delivery from its beginning to its line in the log: what deliveries import
decisions.py  the log's files          syslog.py   the line for the MTA's log
recall.py     the log, read and counted by rule
folders.py    which Maildir is meant   wishes.py   what rules would do with what is in it
held.py       what has a copy already  steps.py    one step, done and undone
records.py    what is written down before each step
apply.py      wishes to steps, done in batches, and taken back
"""
