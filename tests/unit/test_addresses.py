"""Address lists: RFC 5322, its obsolete forms, and what people make of them."""

from __future__ import annotations

import pytest

from mdeliver.addresses import parse_addresses


def read(value: str) -> list[tuple[str, str, str]]:
    return [(a.display_name, a.text, a.domain) for a in parse_addresses(value, 100)]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("ann@example.org", [("", "ann@example.org", "example.org")]),
        ("Ann <ann@example.org>", [("Ann", "ann@example.org", "example.org")]),
        ('"B, Bob" <b@x.org>,c@y.org (Carol (really) C)',
         [("B, Bob", "b@x.org", "x.org"), ("Carol (really) C", "c@y.org", "y.org")]),
        ("John Q. Public <j@x.org>", [("John Q. Public", "j@x.org", "x.org")]),
        ('"a \\"quoted\\" \\\\ name" <j@x.org>', [('a "quoted" \\ name', "j@x.org", "x.org")]),
        ("Friends: a@x, \"C, D\" <c@y>; e@z",
         [("", "a@x", "x"), ("C, D", "c@y", "y"), ("", "e@z", "z")]),
        ("undisclosed-recipients:;", []),
        ("Friends:a@x;,b@y", [("", "a@x", "x"), ("", "b@y", "y")]),
        # Obsolete: routes, white space and comments around dots, empty members.
        ("<@one.example,@two.example:u@x>", [("", "u@x", "x")]),
        (" a . b @ c . d ", [("", "a.b@c.d", "c.d")]),
        ("a@b,,c@d,", [("", "a@b", "b"), ("", "c@d", "d")]),
        ("<a (comment) @ (another) b>", [("", "a@b", "b")]),
        # Quoted local parts; quotes stand only where they must.
        ('"john doe"@x.org', [("", '"john doe"@x.org', "x.org")]),
        ('"john.doe"@x.org', [("", "john.doe@x.org", "x.org")]),
        ('"a@b"@evil.example', [("", '"a@b"@evil.example', "evil.example")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]", "[192.0.2.1]")]),
        ("<>", [("", "", "")]),
        # SMTPUTF8 and raw Latin-1.
        ("Пример <почта@пример.example>", [("Пример", "почта@пример.example", "пример.example")]),
        ("J\xfcrgen <j\xfc@x>", [("Jürgen", "jü@x", "x")]),
        ("=?utf-8?Q?J=C3=BC?= <j@x>", [("Jü", "j@x", "x")]),
        # Broken.
        ("ann", [("", "ann", "")]),
        ("<bob@x.org, c@y", [("", "bob@x.org", "x.org"), ("", "c@y", "y")]),
        ("a@b; c@d", [("", "a@b", "b"), ("", "c@d", "d")]),
        ('"unclosed <a@b>', [('"unclosed', "a@b", "b")]),
        ("(unclosed <a@b>", [("(unclosed", "a@b", "b")]),
        ("Ann a@b", [("Ann", "a@b", "b")]),
        ('"Ann B" a@b', [("Ann B", "a@b", "b")]),
        ("<a@b> <c@d>", [("", "a@b", "b"), ("", "c@d", "d")]),
        ("", []), (" , ;", []), ("@", []),
    ],
)  # fmt: skip
def test_lists(value: str, found: list[tuple[str, str, str]]) -> None:
    assert read(value) == found


@pytest.mark.parametrize(
    "value",
    [
        '"bob@example.org" <evil@x>',
        "bob@example.org <evil@x>",
        "(bob@example.org) evil@x",
        '"bob@example.org" (bob@example.org) <evil@x>',
        "=?utf-8?Q?bob=40example.org?= <evil@x>",
        "=?utf-8?Q?=22_=3Cbob=40example.org=3E=2C?= <evil@x>",
        '"bob@example.org\\" <evil@x>" <evil@x>',
        "bob@example.org: evil@x;",
        "<bob@example.org:evil@x>",
        '"<bob@example.org>," evil@x',
    ],
)
def test_nobody_passes_for_another(value: str) -> None:
    assert [a.text for a in parse_addresses(value, 100)] == ["evil@x"]


@pytest.mark.parametrize(
    "value",
    ["bob@example.org evil@x", '"bob@example.org"', "bob@example.org@x", "bob @example.org x"],
)
def test_where_it_is_unclear_it_is_nobody(value: str) -> None:
    assert "bob@example.org" not in [a.text for a in parse_addresses(value, 100)]


def test_only_so_many() -> None:
    assert len(parse_addresses("a@b," * 50, 7)) == 7
    assert len(parse_addresses("<a@b>" * 50, 7)) == 7
