"""Records that are made in a quarter of the time, for a process that makes many.

Why       a delivery makes some thirty records. The `__init__` that all of them share asks for each
          field how it was given; here each class gets one of its own, as `dataclasses` makes them:
          a function whose parameters are the fields. Compiling it costs 100 microseconds a class:
          nothing for a server that does it once, before it forks, too much for a process that
          delivers one message.
See also  record.py
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def quicken(kinds: Iterable[type[Record]] | None = None) -> None:
    """Give KINDS (all classes of records that are loaded) and those derived from them their own
    `__init__`, unless they have one that somebody wrote."""
    for kind in Record.__subclasses__() if kinds is None else kinds:
        if "__init__" not in vars(kind):
            type.__setattr__(kind, "__init__", _init_of(kind))
            type.__setattr__(kind, "__init_subclass__", classmethod(_has_own_fields))
        quicken(kind.__subclasses__())


def _has_own_fields(derived: type[Record]) -> None:
    """What is derived from a quickened class later must not be made as that is."""
    if "__init__" not in vars(derived):
        type.__setattr__(derived, "__init__", Record.__init__)


def _init_of(kind: type[Record]) -> Callable[..., None]:
    """An `__init__` for KIND that behaves as Record's does."""
    fields, defaults = kind._fields, kind._defaults
    parameters = [f"{field}=default_{field}" if field in defaults else field for field in fields]
    # What stands behind a field with a default is given by name, where it has none itself.
    first = next((n for n, field in enumerate(fields) if field in defaults), len(fields))
    if any(field not in defaults for field in fields[first:]):
        return Record.__init__
    names: dict[str, Any] = {f"default_{field}": value for field, value in defaults.items()}
    names |= {f"set_{field}": put for field, put in zip(fields, kind._setters, strict=True)}
    body = [f" set_{field}(self, {field})" for field in fields] or [" pass"]
    source = f"def __init__({', '.join(['self', *parameters])}):\n" + "\n".join(body)
    exec(source, names)  # noqa: S102 - of no input, but of the names of our own fields
    made: Callable[..., None] = names["__init__"]
    return made
