"""Tables and tags: what Postfix looks up is what was meant, whatever the address."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdeliver.envelope import Envelope
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import keys as keyring
from mdeliver.sent.evidence import look_up, tag_in
from mdeliver.sent.mailaddress import MailAddress, in_table, is_split, parse, with_extension
from mdeliver.sent.tables import Table, is_fresh, text_of, write
from mdeliver.settings import Site
from tests.installation import lacking

LOCALS = st.text(
    st.one_of(
        st.sampled_from("abz019+-._=#'\"\\ ,;:<>()[]@$!&*/|~?`^{}%"),
        st.characters(min_codepoint=0xA1, max_codepoint=0x2FF, categories=("Ll", "Lo")),
    ),
    min_size=1,
    max_size=20,
)


def folds_alike(text: str) -> bool:
    """Whether Postfix (ICU) and Python agree on TEXT in lower case; ß and the like are folded."""
    return text == text.lower() == text.casefold()


@given(local=LOCALS)
def test_an_address_is_read_as_it_is_written(local: str) -> None:
    address = MailAddress(local, "example.org")
    assert parse(address.text) == address


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory) -> Postfix:
    """A configuration without a server: postmap needs no more."""
    if shutil.which("postmap") is None and not Path("/usr/sbin/postmap").exists():
        lacking("postmap is not installed")
    directory = tmp_path_factory.mktemp("postfix")
    (directory / "main.cf").write_text("compatibility_level = 3.6\nsmtputf8_enable = yes\n")
    (directory / "master.cf").touch()
    return Postfix(str(directory))


@pytest.mark.parametrize("kind", ["texthash", "hash", "lmdb"])
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(locals_=st.lists(LOCALS.filter(folds_alike), min_size=20, max_size=60, unique=True))
def test_postmap_finds_what_was_written(
    kind: str, locals_: list[str], postfix: Postfix, tmp_path: Path
) -> None:
    if kind not in postfix.table_types():
        lacking(f"this Postfix has no {kind} tables")
    key = keyring.Key(1, b"k" * 32)
    rows = {}
    for local in locals_:
        address = MailAddress(local, "example.org")
        target = with_extension(address, "+", keyring.extension_of(key, local))
        if in_table(address.text):
            rows[address.text] = target.text
    table = Table(kind, str(tmp_path / "table"), text_of(rows.items()))
    write(table, postfix, secret=True)
    assert is_fresh(table)
    asked = "".join(f"{k}\n" for k in rows).encode()
    said = postfix.run("postmap", "-q", "-", table.name, octets=asked, fine=(0, 1))
    # postmap answers KEY TAB VALUE for what it finds.
    assert said.splitlines() == [f"{k}\t{v}" for k, v in rows.items()]


@given(
    user=st.text("abcxyz019._", min_size=1, max_size=12),
    delimiters=st.sampled_from(["+", "-", "=", "+-", "-+="]),
    secret=st.binary(min_size=32, max_size=32),
)
def test_the_tag_in_an_address_is_found_again_by_any_delimiter(
    user: str, delimiters: str, secret: bytes
) -> None:
    assert not is_split(user, delimiters)
    key = keyring.Key(1, secret)
    mailbox = MailAddress(user, "example.org")
    secret_address = with_extension(mailbox, delimiters[0], keyring.extension_of(key, user))
    site = Site(recipient_delimiter=delimiters)
    whole = Envelope(user, "/", 0, recipient=secret_address.text)
    assert tag_in(whole, site) == keyring.make_tag(key, user)
    parted = whole.replace(extension=secret_address.local[len(user) + 1 :])
    assert tag_in(parted, site) == keyring.make_tag(key, user)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the table of digests is."""
    made = tmp_path_factory.mktemp("tags") / "tags"
    made.touch()
    made.chmod(0o644)
    return made


@given(owners=st.lists(LOCALS, min_size=2, max_size=8, unique=True), ours=st.integers(0, 7))
def test_a_tag_proves_its_owner_and_nobody_else(owners: list[str], ours: int, table: Path) -> None:
    keys = [keyring.Key(100, b"o" * 32), keyring.Key(200, b"n" * 32)]
    table.write_bytes(keyring.digest_table(keys, [(owner,) for owner in owners], 50))
    site = Site(believe_tags=True, tags_path=str(table))
    owner = owners[ours % len(owners)]
    for number, key in enumerate(keys):
        tag = keyring.extension_of(key, owner)
        for user in owners:
            envelope = Envelope(user, "/", table.stat().st_uid, extension=tag, domain="x.org")
            for now_s in (210, 260):
                found = look_up(envelope, site, now_s)
                alike = user == owner or f"{user}@x.org".lower() == owner
                assert found.proof == (alike and (number == 1 or now_s < 250)), found
                assert found.proof == found.mine
    forged = Envelope(owner, "/", table.stat().st_uid, extension="sent-" + "a" * 20)
    assert not look_up(forged, site, 210).mine


def test_no_tag_can_be_read_out_of_the_table() -> None:
    key = keyring.Key(1, b"k" * 32)
    assert keyring.make_tag(key, "ann").encode() not in keyring.digest_table([key], [("ann",)], 1)
