"""The fuzzer's targets: what broke one once, and mutations of what they read to good effect.

`make fuzz` looks for more, guided by coverage, and for longer.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target import SECONDS, found
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_what_broke_it_once(name: str) -> None:
    for path in found(name):
        before_s = time.process_time()
        TARGETS[name].attack(path.read_bytes())
        assert time.process_time() - before_s < SECONDS, path


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_what_it_reads(name: str) -> None:
    target = TARGETS[name]
    seeds = st.sampled_from(sorted(target.seeds(), key=len))
    words = st.one_of(st.sampled_from(target.words), st.binary(max_size=3))
    changes = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 9), words), max_size=6)

    @settings(max_examples=8, deadline=None)
    @given(seeds, changes)
    def mutated(octets: bytes, changed: list[tuple[int, int, bytes]]) -> None:
        for at, length, word in changed:
            at %= len(octets) + 1
            octets = octets[:at] + word + octets[at + length :]
        target.attack(octets)

    mutated()
