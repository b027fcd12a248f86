"""Texts that are made when they are asked for.

Whoever holds a hundred megabytes forks slowly, and the runner of these tests forks ten thousand
times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping


class OnDemand(Mapping[str, bytes]):
    """Octets by their names; each look makes them anew."""

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> bytes:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
