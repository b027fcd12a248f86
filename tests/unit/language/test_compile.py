"""From sources to a Program: what comes first, what is named how, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mdeliver
from mdeliver import limits
from mdeliver.language.compile import Compiled, Source, compile_rules
from mdeliver.language.printer import line_of, print_rules
from mdeliver.language.syntax import Do, If, Include, Mailbox
from mdeliver.rulesfile import Untrusted

BUILT_IN = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "/var/mail/{user}"
inbox = imap, pop3
"""
SENT = """\
if sent by me and addressed to me:
    also file to imap/{sent} as seen
elif sent by me:
    file to imap/{sent} as seen
"""


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def compiled(*texts: str) -> Compiled:
    sources = [Source(f"/rules/{number}", text) for number, text in enumerate(texts)]
    return compile_rules(sources, no_file)


def printed(result: Compiled) -> str:
    assert result.program is not None, result.findings
    return print_rules(result.program.statements)


def test_without_any_file_sent_copies_are_filed() -> None:
    assert printed(compile_rules([], no_file)) == BUILT_IN + SENT


def test_built_in_rules_are_named_by_their_line() -> None:
    program = compile_rules([], no_file).program
    assert program is not None
    lines = [statement.span.where for statement in program.statements]
    assert lines == ["built-in:1", "built-in:2", "built-in:3", "built-in:5"]


def test_an_empty_file_is_not_no_file() -> None:
    assert printed(compiled("")) == BUILT_IN
    assert printed(compiled("# nothing yet\n")) == BUILT_IN


def test_sources_come_in_their_order_and_see_what_is_before() -> None:
    result = compiled('let x = "a"\n', "if subject is x:\n    keep\n")
    assert printed(result) == BUILT_IN + 'let x = "a"\nif subject is x:\n    keep\n'


def test_first_comes_before_all_sources() -> None:
    first = Source("/rules/first", 'let x = "a"\n')
    result = compile_rules(
        [Source("/rules/user", "if subject is x: keep\n")], no_file, first=[first]
    )
    assert result.program is not None


def test_a_program_exists_only_without_errors() -> None:
    result = compiled("keep\n", "kep\n", "file to nowhere\n")
    assert result.program is None
    assert [finding.place.file for finding in result.findings] == ["/rules/1"]


def test_findings_are_in_the_order_of_files_and_lines() -> None:
    result = compiled("if size > 20m:\n    keep as read\nfoo\n", "bar\nkeep as x\n")
    places = [(finding.place.file, finding.place.line) for finding in result.findings]
    assert places == [
        ("/rules/0", 1),
        ("/rules/0", 2),
        ("/rules/0", 3),
        ("/rules/1", 1),
        ("/rules/1", 2),
    ]


def test_an_include_keeps_its_line_and_has_a_body() -> None:
    asked = []

    def read_file(path: str) -> str:
        asked.append(path)
        return "keep\n"

    result = compile_rules([Source("/rules/user", 'include "lists/a"\n')], read_file)
    assert asked == ["/rules/lists/a"]
    assert result.program is not None
    include = result.program.statements[-1]
    assert isinstance(include, Include)
    assert include.body is not None
    (action,) = include.body
    assert isinstance(action, Do)
    assert action.span.where == "/rules/lists/a:1"
    assert line_of(include) == 'include "lists/a"'


@pytest.mark.parametrize("name", ["/etc/other", "~/.rules"])
def test_absolute_and_home_paths_are_asked_for_as_they_are(name: str) -> None:
    asked = []

    def read_file(path: str) -> str:
        asked.append(path)
        return ""

    compile_rules([Source("/rules/user", f'include "{name}"\n')], read_file)
    assert asked == [name]


def test_an_untrusted_include_says_why() -> None:
    def read_file(path: str) -> str:
        raise Untrusted(f"{path} can be written by others")

    result = compile_rules([Source("/rules/user", 'include "a"\n')], read_file)
    assert result.program is None
    assert result.findings[0].message == "cannot include a: /rules/a can be written by others"


def test_includes_in_blocks_count_as_deep_as_they_stand() -> None:
    """A tree that is too deep to walk cannot be put together from files that are not."""
    depth = limits.NESTING_DEPTH - 4
    nest = "".join("  " * level + "if sent by me:\n" for level in range(depth))

    def read_file(path: str) -> str:
        return nest + "  " * depth + "keep\n"

    source = Source("/rules/user", nest + "  " * depth + 'include "more"\n')
    result = compile_rules([source], read_file)
    assert result.program is None
    assert {finding.code for finding in result.findings} == {"E217"}


def test_the_number_of_includes_is_limited() -> None:
    text = 'include "a"\n' * (limits.INCLUDES + 1)
    result = compile_rules([Source("/rules/user", text)], lambda _path: "")
    assert [finding.code for finding in result.findings] == ["E319"]


def test_findings_are_limited() -> None:
    result = compiled("foo\n" * (limits.FINDINGS + 100))
    assert len(result.findings) == limits.FINDINGS


def test_ten_thousand_parentheses_are_an_error_and_no_crash() -> None:
    for text in ("if " + "(" * 10_000, "if " + "not " * 10_000 + "sent by me: keep\n"):
        result = compiled(text)
        assert result.program is None
        assert [finding.code for finding in result.findings] == ["E217"]


def test_a_thousand_nested_blocks_are_an_error_and_no_crash() -> None:
    text = "".join(" " * level + "if sent by me:\n" for level in range(1000))
    assert "E217" in {finding.code for finding in compiled(text).findings}


def test_a_shadowed_mailbox_is_followed_by_the_built_in_inbox() -> None:
    result = compiled('mailbox imap = maildir "~/mail"\nkeep\n')
    assert result.program is not None
    assert isinstance(result.program.statements[3], Mailbox)


def test_elif_chains_may_be_long() -> None:
    text = "if sent by me: keep\n" + 'elif subject is "x": keep\n' * 2000
    result = compiled(text)
    assert result.program is not None
    chain = result.program.statements[-1]
    assert isinstance(chain, If)
    assert len(chain.branches) == 2001


def test_a_delivery_imports_nothing_that_only_mistakes_need() -> None:
    root = str(Path(mdeliver.__file__).parents[1])
    script = (
        f"import sys; sys.path.insert(0, {root!r})\n"
        "from mdeliver.language.compile import *\n"
        "text = 'if subject matches \"(*)x\":\\n    file to imap/{1} as seen\\n'\n"
        "assert compile_rules([Source('r', text)], None).program\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    loaded = set(ran.stdout.split())
    unwanted = {"hints", "findings", "lints", "printer"}
    assert not loaded & {f"mdeliver.language.{name}" for name in unwanted}
    assert not loaded & {"re", "enum", "dataclasses", "typing", "functools", "collections", "re2"}
