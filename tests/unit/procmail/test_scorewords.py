"""Scores as conditions: on many made-up messages they say what procmail's arithmetic says."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mdeliver.settings import load_site
from tests.unit.procmail.test_proof import Sides

BODIES = [" ".join(["a"] * a + ["b"] * b) for a, b in itertools.product(range(0, 26, 3), range(5))]
SUBJECTS = ("x", "offer", "offer now", "")

SCORES = (
    ("-20^0", "1^1 B ?? a", "10^1 B ?? b"),
    ("-3^0", "1^1 B ?? b", "2^0 ^Subject:.*offer"),
    ("4^0", "-1^1 B ?? b"),
    ("-5^0", "3^0 ^Subject:.*offer", "1^.5 B ?? a", "2^0 ! B ?? b"),
    ("10^0", "-1^1 B ?? a", "-5^0 ^Subject:.*now"),
    ("-2^0", "1^1 ^Subject:.*o", "2^1 B ?? b"),
    ("-6^0", "1^2 B ?? b", "1^0 > 1"),
)


@pytest.mark.parametrize("conditions", SCORES)
def test_a_score(conditions: tuple[str, ...], tmp_path: Path) -> None:
    recipe = "DEFAULT=$HOME/in/\n:0\n" + "".join(f"* {c}\n" for c in conditions) + ".X/\n"
    sides = Sides(recipe, tmp_path, load_site("/dev/null"))
    assert sides.converted.is_whole, sides.converted.entries
    fates = set()
    for subject, body in itertools.product(SUBJECTS, BODIES):
        one = sides.compare(f"From: x@y.z\nSubject: {subject}\n\n{body}\n".encode())
        assert one.same, f"{subject} / {body}\n{sides.converted.text}\n{one.theirs}\n{one.ours}"
        fates.add(one.ours.done)
    assert len(fates) == 2, "it always holds, or never"
