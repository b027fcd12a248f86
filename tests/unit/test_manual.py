"""The manual pages against the code, both ways: nothing is missing there, and nothing invented.

`pytest tests/unit/test_manual.py --update-cases` rewrites the generated parts of mdeliver-rules(5).
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

import mdeliver
from mdeliver import limits, outcome
from mdeliver.cli import COMMANDS, main
from mdeliver.intake import OPTIONS
from mdeliver.language import hints, parse_tests, parse_values, parser
from mdeliver.language.checker import BRACE_FIELDS, VARIABLES
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.findings import CATALOGUE
from mdeliver.language.lints import lint
from mdeliver.language.prelude import BUILT_IN, SENT_COPIES
from mdeliver.lmtp.settings import Lmtp
from mdeliver.popsync.choicefindings import CHOICE_FINDINGS
from mdeliver.popsync.settings import PopSync
from mdeliver.replay.casefindings import CASE_FINDINGS
from mdeliver.sent.settings import BccSettings
from tests.structure.source import MODULES, PACKAGE, ROOT

COMMANDS_PAGE = ROOT / "man" / "mdeliver.1"
RULES_PAGE = ROOT / "man" / "mdeliver-rules.5"
PAGES = sorted(COMMANDS_PAGE.parent.glob("mdeliver*.[1-8]"))
COMMANDS_TEXT = COMMANDS_PAGE.read_text()
RULES_TEXT = RULES_PAGE.read_text()

# What libraries read, not our own code: tempfile's directory and click's completion.
_OF_LIBRARIES = {"TMPDIR", "_MDELIVER_COMPLETE"}


def section(page: str, title: str, macro: str = "Sh") -> str:
    """The lines below the heading TITLE, up to the next heading of its rank or above."""
    _, found, rest = page.partition(f"\n.{macro} {title}\n")
    assert found, f"there is no section {title}"
    ends = ("\n.Sh ",) if macro == "Sh" else ("\n.Sh ", "\n.Ss ")
    return rest[: min([at for end in ends if (at := rest.find(end)) >= 0], default=len(rest))]


def items(text: str, macro: str) -> list[str]:
    """What the list items of TEXT name: `.It MACRO one , two`."""
    found = []
    for line in re.findall(rf"^\.It {macro} ((?:.*\\\n)*.*)$", text, re.MULTILINE):
        found += [word.strip() for word in line.replace("\\\n", "").split(" , ")]
    return found


def blocks(text: str) -> list[str]:
    """The literal displays in TEXT."""
    return re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", text, re.MULTILINE)


def constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


# --- mdeliver(1) -------------------------------------------------------------------------------


def test_every_command_has_its_subsection() -> None:
    found = re.findall(r"^\.Ss mdeliver ([\w-]+)", section(COMMANDS_TEXT, "COMMANDS"), re.MULTILINE)
    assert found == [name for name, _module in COMMANDS]


@pytest.mark.parametrize("name", [name for name, _module in COMMANDS])
def test_every_option_of_a_command_is_described(name: str) -> None:
    text = section(COMMANDS_TEXT, "COMMANDS")
    _, _, rest = text.partition(f"\n.Ss mdeliver {name}")
    described = [f"-{word.split()[0]}" for word in items(rest.partition("\n.Ss ")[0], "Fl")]
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = [
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    ]
    assert sorted(described) == sorted(options)


def test_the_options_of_deliver_are_described_in_the_words_of_the_code() -> None:
    _, _, text = section(COMMANDS_TEXT, "COMMANDS").partition("\n.Ss mdeliver deliver\n")
    plain = re.sub(r"\n\.Qq \\&\n", ' "" ', text)
    for name, value, meaning in OPTIONS:
        words = meaning[0].upper() + meaning[1:]
        assert f".It Fl -{name} Ar {value.lower()}\n{words}.\n" in plain


def test_environment() -> None:
    read = set()
    for module in MODULES:
        for line in module.path.read_text().splitlines():
            if "environ" in line and "environment(delivery)" not in line:
                read |= set(re.findall(r'"([A-Z][A-Z_]+)"', line))
    described = items(section(COMMANDS_TEXT, "ENVIRONMENT"), "Ev")
    assert sorted(set(described) - _OF_LIBRARIES) == sorted(read)
    assert len(described) == len(set(described))


def test_settings() -> None:
    tree = ast.parse((PACKAGE / "settings.py").read_text())
    keys = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = [text for argument in node.args for text in constants(argument)]
            called = ast.unparse(node.func)
            takes = ("_take", "_take_list", "_take_flag", "_take_count", "_one_of")
            if called in takes and len(words) > 1:
                keys.add(f"{words[0]}.{words[1]}")
    keys |= {f"bcc_maps.{field}" for field in BccSettings._fields}
    keys |= {f"lmtp.{field}" for field in Lmtp._fields}
    keys |= {f"pop_sync.{field}" for field in PopSync._fields}
    assert sorted(items(section(COMMANDS_TEXT, "SETTINGS"), "Va")) == sorted(keys)


def test_the_example_of_settings_is_taken(tmp_path: Path) -> None:
    from mdeliver.settings import load_site

    (example,) = blocks(section(COMMANDS_TEXT, "SETTINGS"))
    path = tmp_path / "mdeliver.toml"
    path.write_text(example)
    assert load_site(str(path)).on_rules_error == "inbox"


def test_journal_letters() -> None:
    written: dict[str, set[str]] = {"attempt": {"."}, "place": {"."}}
    for module in MODULES:
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            letters = {
                a.value.decode()
                for a in node.args
                if isinstance(a, ast.Constant) and isinstance(a.value, bytes) and len(a.value) == 1
            }
            if node.func.attr == "mark":
                written["place"] |= letters
            elif node.func.attr in ("state", "overwrite"):
                written["attempt"] |= letters
    text = section(COMMANDS_TEXT, "JOURNAL").replace("\\&", "")
    described: dict[str, set[str]] = {"attempt": set(), "place": set()}
    for kind, letter in re.findall(r"^\.It (\w+) Ta (\S) Ta ", text, re.MULTILINE):
        described[kind].add(letter)
    assert described == written


def test_exit_statuses() -> None:
    described = re.findall(r"^\.It (\d+)$", section(COMMANDS_TEXT, "EXIT STATUS"), re.MULTILINE)
    statuses = [outcome.EX_OK, outcome.EX_TEMPFAIL, outcome.EX_NOPERM]
    assert [int(status) for status in described] == statuses


def test_status_codes() -> None:
    used = {
        word
        for module in MODULES
        if not module.name.startswith("mdeliver.cli")
        for text in constants(module.tree)
        for word in re.findall(r"\A([45]\.\d\.\d)\b", text)
    }
    described = re.findall(r"^\.It (\d\.\d\.\d)$", COMMANDS_TEXT, re.MULTILINE)
    assert sorted(described) == sorted(used)


def test_numbers_are_the_limits() -> None:
    words = " ".join(COMMANDS_TEXT.split())
    assert f"longer than {limits.LOCK_WAIT_S} seconds" in words
    assert f"longer than {limits.DEADLINE_S} seconds" in words
    assert f"longer than {limits.JOURNAL_BYTES >> 20} MB" in words
    words = " ".join(RULES_TEXT.split())
    assert f"of {limits.RULES_BYTES >> 20} MB at most" in words
    lines = f"{limits.HEADER_LINES // 1000} {limits.HEADER_LINES % 1000:03}"
    assert f"up to {limits.HEAD_BYTES >> 10} KB and {lines} lines" in words
    assert f"of one field up to {limits.FIELD_TEXTS} texts" in words


def test_objects_of_json_are_described() -> None:
    text = " ".join(section(COMMANDS_TEXT, "COMMANDS").split())
    keys = {
        key.value
        for name in ("explain.py", "deedwords.py")
        for node in ast.walk(ast.parse((PACKAGE / name).read_text()))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    _, _, described = text.partition("one JSON object a line for each message: ")
    named = set(re.findall(r"\w+", described.partition(".")[0]))
    # The painter's colours are a dictionary too.
    assert named == keys - {"yes", "no", "unknown", "delivered", "discarded"}


# --- mdeliver-rules(5) -------------------------------------------------------------------------


def _words_of(names: Iterable[str]) -> set[str]:
    return {word for name in names for word in name.split()}


def _grammar_words() -> set[str]:
    (grammar,) = blocks(section(RULES_TEXT, "GRAMMAR"))
    # A step's list of characters has a quote of its own.
    grammar = re.sub(r"^step .*$", "", grammar, flags=re.MULTILINE)
    return set(re.findall(r'"([a-z][a-z-]*)"', grammar))


_PRESENT_WORD = ("word", "part", "self.value")
"""What the parser calls the word at which it stands."""


def _parsed_words() -> set[str]:
    """Every word that the parser asks for, found in its source."""
    words = _words_of(
        [
            *parse_tests.ADDRESS_FIELDS,
            *parse_tests._PLAIN_FIELDS,
            *parse_tests._PLAIN_OPERATORS,
            *parse_tests._PLAIN_OPERATORS.values(),
            *parse_tests._NEGATED_OPERATORS,
            *parse_tests.METHODS,
            *parser._ACTIONS,
            *parse_values._FLAGS,
            *parse_values.RESERVED,
        ]
    )
    for module in (parser, parse_tests, parse_values):
        assert module.__file__
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("accept", "expect"):
                    words |= {text for argument in node.args for text in constants(argument)}
            elif isinstance(node, ast.Compare) and ast.unparse(node.left) in _PRESENT_WORD:
                words |= {text for text in constants(node) if re.fullmatch("[a-z-]+", text)}
    # The last are known only to be answered with "write file to".
    return _words_of(words) - {"in", "into", "under", "at"}


def test_the_grammar_has_the_words_of_the_parser() -> None:
    assert sorted(_grammar_words()) == sorted(_parsed_words())


def test_the_words_that_cannot_be_names() -> None:
    _, _, text = section(RULES_TEXT, "TEXT").partition("\nOnly\n")
    named = re.findall(r"^\.Ic (.*)$", text, re.MULTILINE)
    assert sorted(w for line in named for w in line.split(" , ")) == sorted(parse_values.RESERVED)


def test_fields_parts_operators_facts_actions_flags() -> None:
    fields = section(RULES_TEXT, "Fields", "Ss")
    heads = [n.split(" Qo ")[0] for n in items(fields, "Ic") if not n.startswith("Qo ")]
    parts = {"address", "domain", "local part", "name", "type"}
    assert {name.split()[0] for name in heads if name not in parts} == set(hints.FIELDS)
    assert parts <= set(heads)

    operators = items(section(RULES_TEXT, "Operators", "Ss"), "Ic")
    assert {name.split()[0] for name in operators} - {">", "<", ">=", "<="} == set(hints.OPERATORS)

    facts = section(RULES_TEXT, "Facts", "Ss").replace(" , Ic ", " , ")
    assert {name.split()[0] for name in items(facts, "Ic")} == set(hints.FACTS)

    text = section(RULES_TEXT, "ACTIONS")
    named = {name.split()[0] for name in items(text, "Ic")}
    assert named == {*hints.ACTIONS, *hints.FLAGS}
    defined = items(section(RULES_TEXT, "STATEMENTS"), "Ic")
    assert {name.split()[0] for name in defined} == {*hints.STATEMENTS} - {*hints.ACTIONS, "also"}


def test_braces() -> None:
    text = section(RULES_TEXT, "Braces", "Ss")
    named = {
        w for line in re.findall(r"^\.Ic (.*)$", text, re.MULTILINE) for w in line.split(" , ")
    }
    fields = {field for field in BRACE_FIELDS if field.split()[0] not in parse_tests.ADDRESS_FIELDS}
    named = {name.rstrip(" ,.;") for name in named}
    assert named - {"matches", "let", "folder"} == fields | VARIABLES


def test_the_built_in_rules_are_shown_as_they_are() -> None:
    assert blocks(section(RULES_TEXT, "NAMES AND PLACES"))[:2] == [BUILT_IN, SENT_COPIES]


def test_every_example_is_sound() -> None:
    examples = [
        b for name in ("DESCRIPTION", "EXAMPLES") for b in blocks(section(RULES_TEXT, name))
    ]
    examples += blocks(section(RULES_TEXT, "NAMES AND PLACES"))
    assert len(examples) >= 7
    for text in examples:
        compiled = compile_rules([Source("example", text)], lambda _path: "")
        assert compiled.program is not None, [finding.line for finding in compiled.findings]
        assert lint(compiled.program, {"example": text}, []) == []


def _generated(name: str) -> tuple[int, int]:
    """Where in the page the generated part NAME stands."""
    start = RULES_TEXT.index(f'.\\" generated: {name}\n')
    start = RULES_TEXT.index("\n", start) + 1
    return start, RULES_TEXT.index('.\\" end\n', start)


def _plain(text: str) -> str:
    """TEXT as a line of mdoc."""
    return text.replace("\\", "\\e").replace("…", "...")


def test_generated_parts(update_cases: bool) -> None:
    entries = [*CASE_FINDINGS.items(), *CATALOGUE.items(), *CHOICE_FINDINGS.items()]
    codes = [".Bl -tag -width E101 -compact"]
    codes += [f".It {code}\n{_plain(title)}" for code, (title, _) in entries] + [".El"]
    page = RULES_TEXT
    start, end = _generated("codes")
    page = page[:start] + "\n".join(codes) + "\n" + page[end:]
    if update_cases:
        RULES_PAGE.write_text(page)
    else:
        assert page == RULES_TEXT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_are_of_this_version(page: Path) -> None:
    assert f"\n.Os mdeliver {mdeliver.__version__}\n" in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_wrong(page: Path) -> None:
    if shutil.which("mandoc") is None:
        from tests.installation import lacking

        lacking("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
