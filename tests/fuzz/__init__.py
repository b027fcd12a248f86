"""Hostile input, found by coverage: what strangers, users and crashes may put before each reader.

    python -m tests.fuzz --seconds N [--target NAME]... [--list]     (or: make fuzz)

Whoever calls this from elsewhere: `tests.fuzz.run.main(["--seconds", "60"])` returns the number of
targets that broke. Time is shared among the targets in turn; the corpus is kept in .fuzz/, so that
the next run goes on where this one ended. What breaks a target is written to
tests/cases/fuzz/TARGET/, is a failing case of tests/properties/test_fuzz.py from then on, and stays
there once it is mended.

targets.py   what there is to be broken, with what is true of each whatever comes
run.py       one libFuzzer (atheris) for each target
"""
