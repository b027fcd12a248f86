"""TOML as every settings file is read.

Fails with  ValueError alone: tomllib recurses, and gives up on lists within lists in its own way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_toml(text: str | bytes) -> dict[str, Any]:
    """TEXT as tables. Raises ValueError, which says where."""
    import tomllib

    try:
        return tomllib.loads(text.decode() if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("lists or tables stand too deep within each other") from None
