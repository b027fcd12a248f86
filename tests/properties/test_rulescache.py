"""A kept program is the program, to the last place in its file."""

from __future__ import annotations

import marshal
from typing import Any

from hypothesis import given, settings

from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules
from mdeliver.language.syntax import Program
from mdeliver.rulescache import pack, unpack
from tests.properties.test_language import programs


@given(programs)
@settings(max_examples=100, deadline=None)
def test_what_is_kept_is_what_was_compiled(generated: tuple[Any, ...]) -> None:
    # Printed and parsed, so that every node has a place of its own.
    program = Program(parse(print_rules(generated), "rules").statements)
    kept = unpack(marshal.loads(marshal.dumps(pack(program))))
    assert kept == program
    # Places take no part in equality, and an escaped mark equals a plain piece.
    assert repr(kept) == repr(program)
    assert pack(kept) == pack(program)
