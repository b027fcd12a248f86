"""Keywords of messages in a Maildir, as Dovecot names them: letters a to z, by another list in
each folder (`dovecot-keywords`, lines `0 $Label1`)."""

from __future__ import annotations

from mdeliver import durable, system


def keywords_of(folder: str) -> dict[str, str]:
    """Letters of keywords in FOLDER, and what they mean."""
    text = durable.read_file(system.join(folder, "dovecot-keywords"), 64 << 10)
    parted = [line.partition(" ") for line in system.from_octets(text).split("\n")]
    return {
        chr(ord("a") + int(number)): name
        for number, _, name in parted
        # Only what can be a letter: Python reads no number of thousands of digits.
        if name and number.isdecimal() and len(number) <= 2 and int(number) < 26
    }


def translated(letters: str, mine: dict[str, str], theirs: dict[str, str]) -> str:
    """LETTERS of a folder whose keywords are MINE, as a folder with THEIRS has them.

    What it does not have is left out.
    """
    letter_of = {name: letter for letter, name in theirs.items()}
    found = [letter_of.get(mine.get(c, ""), "") if c.islower() else c for c in letters]
    return "".join(sorted(found))
