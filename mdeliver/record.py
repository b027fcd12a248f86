"""Frozen, slotted value classes that cost next to nothing to import.

Guarantee   a Record behaves as ``@dataclass(frozen=True, slots=True)`` does: fields from the
            annotations, defaults, equality, hash, repr, ``match`` patterns; assigning raises.
Why         a delivery is one process per message. Importing ``dataclasses`` costs more than the
            whole interpreter start (it brings inspect, re and enum, and compiles each class);
            this costs some microseconds a class. Type checkers see it through PEP 681.
Imports     nothing; anyone may import it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda thing: thing


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Turns the annotations of a class body into slots, defaults and match arguments."""

    _fields: tuple[str, ...]
    _setters: tuple[Any, ...]
    _defaults: dict[str, Any]
    _compared: tuple[str, ...]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        own = fields = tuple(namespace.get("__annotations__", ()))
        defaults = {f: namespace.pop(f) for f in own if f in namespace}
        for base in bases:
            if isinstance(base, _RecordType) and base._fields:
                fields = (*[f for f in base._fields if f not in own], *fields)
                defaults = base._defaults | defaults
        namespace["__slots__"] = own
        namespace["__match_args__"] = namespace["_fields"] = fields
        namespace["_defaults"] = defaults
        # A source place is where a thing stands, not what it is: it takes no part in equality.
        namespace["_compared"] = tuple([f for f in fields if f != "span"])
        made = super().__new__(cls, name, bases, namespace)
        # The slots' own setters: half the time of object.__setattr__ for each record made.
        made._setters = tuple([getattr(made, f).__set__ for f in fields])
        return made


class Record(metaclass=_RecordType):
    """Base of all value classes; see the module."""

    if TYPE_CHECKING:
        # Set by the metaclass on each class.
        _fields: ClassVar[tuple[str, ...]]
        _setters: ClassVar[tuple[Any, ...]]
        _defaults: ClassVar[dict[str, Any]]
        _compared: ClassVar[tuple[str, ...]]

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        if len(values) == len(fields) and not named:
            for set_slot, value in zip(self._setters, values, strict=True):
                set_slot(self, value)
            return
        if len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} fields, not {len(values)}")
        set_field = object.__setattr__
        for field, value in zip(fields, values, strict=False):
            set_field(self, field, value)
        for field in fields[len(values) :]:
            if field in named:
                set_field(self, field, named.pop(field))
            elif field in self._defaults:
                set_field(self, field, self._defaults[field])
            else:
                raise TypeError(f"{type(self).__name__} needs a value for {field}")
        if named:
            raise TypeError(
                f"{type(self).__name__} has no field {', '.join(named)}, or has it twice"
            )

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {field} cannot be set")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {field} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in self._compared)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, f) for f in self._compared)))

    def __repr__(self) -> str:
        inside = ", ".join(f"{f}={getattr(self, f)!r}" for f in self._fields)
        return f"{type(self).__name__}({inside})"

    def replace(self, **changes: Any) -> Self:
        """The same record with some fields changed (``dataclasses.replace``)."""
        return type(self)(**({f: getattr(self, f) for f in self._fields} | changes))
