"""What was done, and by which rule: the decision log; rules over mail that is there, and back.

account.py    one delivery from its beginning to its line in the log: what deliveries import
decisions.py  the log's files      syslog.py   the line for the MTA's log
recall.py     the log, read        and counted by rule
apply.py      rules over a folder  steps.py    one step, done and undone
records.py    what `apply` writes down before each step
"""
