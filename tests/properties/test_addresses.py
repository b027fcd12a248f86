"""Any text has addresses; well-formed ones are read as `email.utils` reads them."""

from __future__ import annotations

from email.utils import getaddresses

from hypothesis import given
from hypothesis import strategies as st

from mdeliver.addresses import parse_addresses

ATOM = st.text("abcxyz019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=6)
DOT_ATOM = st.lists(ATOM, min_size=1, max_size=3).map(".".join)
QUOTED = st.text("ab @<>,:;()[].", max_size=8).map(lambda inside: f'"{inside}"')
WORDS = st.lists(ATOM.filter(lambda a: "=?" not in a), min_size=1, max_size=3).map(" ".join)
SPEC = st.builds("{}@{}".format, DOT_ATOM, DOT_ATOM)
MAILBOX = st.one_of(
    SPEC,
    st.builds("<{}>".format, SPEC),
    st.builds("{} <{}>".format, st.one_of(WORDS, QUOTED), SPEC),
    st.builds("{} ({})".format, SPEC, WORDS),
)
SPECIALS = st.text('ab.@<>()[]",:;\\ \t=?', max_size=40)


@given(st.lists(MAILBOX, min_size=1, max_size=5))
def test_well_formed_lists_are_read_as_the_standard_library_does(mailboxes: list[str]) -> None:
    value = ", ".join(mailboxes)
    expected = getaddresses([value])
    found = [(a.name, a.text) for a in parse_addresses(value, 100)]
    # White space in a name is one space here: a name is for people.
    assert found == [(" ".join(name.split()), address) for name, address in expected]


@given(st.one_of(SPECIALS, st.text(max_size=40)))
def test_any_text_gives_addresses(value: str) -> None:
    for address in parse_addresses(value.replace("\n", " "), 100):
        assert isinstance(address.display_name + address.text, str)
        assert "\n" not in address.text


@given(SPECIALS)
def test_what_is_quoted_is_never_an_address(inside: str) -> None:
    quoted = inside.replace("\\", "").replace('"', "") + "bob@example.org>, bob@example.org,"
    assert [a.text for a in parse_addresses(f'"{quoted}" <evil@x>', 100)] == ["evil@x"]


@given(QUOTED, DOT_ATOM)
def test_text_reads_back(local: str, domain: str) -> None:
    (first,) = parse_addresses(f"<{local}@{domain}>", 100)
    (again,) = parse_addresses(f"<{first.text}>", 100)
    assert again == first
