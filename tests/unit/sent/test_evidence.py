"""What a tag proves: to whom, when, and by which table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.conditions.facts import addressed_to_me, sent_by_me
from mdeliver.decision import recognised
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.scene import Scene
from mdeliver.sent import keys as keyring
from mdeliver.sent.evidence import look_up, tag_digest, without_tag
from mdeliver.settings import Site

KEYS = [keyring.Key(100, b"o" * 32), keyring.Key(200, b"n" * 32)]
OWNERS = [("ann", "ann@example.org"), ("bob",), ("carl@virtual.example",)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "tags"
    path.write_bytes(keyring.digest_table(KEYS, OWNERS, 50))
    path.chmod(0o644)
    return Site(("example.org",), believe_tags=True, tags_path=str(path))


def envelope(owner: str = "ann", key: int = 1, **fields: str) -> Envelope:
    extension = keyring.extension_of(KEYS[key], owner)
    made = Envelope("ann", "/home/ann", os.geteuid(), "ann@example.org", "ann@example.org")
    return made.replace(extension=extension, domain="example.org").replace(**fields)


def scene(site: Site, given: Envelope, now_s: float = 210) -> Scene:
    head = b"To: ann@example.org\n\n"
    tagged = given.replace(sent_tag=look_up(given, site, now_s))
    return Scene(Message(head, 1), tagged, site, now_s, True)


def test_ones_own_tag_is_proof_and_the_copy_is_not_addressed_to_me(site: Site) -> None:
    seen = scene(site, envelope())
    assert sent_by_me(seen)
    assert seen.because == "it came to the Sent address of ann"
    assert not addressed_to_me(seen)
    assert seen.because == "it is the copy for the Sent folder"


@pytest.mark.parametrize(
    ("given", "now_s", "words"),
    [
        (envelope("bob"), 210, "its tag is bob's, not ann's"),
        (envelope("ann", 0), 250, "its tag is of an old key, no longer valid"),
        (envelope(extension="sent-" + "a" * 20), 210, "its tag is none of this site's"),
    ],
)
def test_other_tags_are_none(site: Site, given: Envelope, now_s: float, words: str) -> None:
    seen = scene(site, given, now_s)
    assert not sent_by_me(seen)
    assert seen.because == words
    assert addressed_to_me(seen)


def test_an_old_key_counts_for_a_time(site: Site) -> None:
    assert sent_by_me(scene(site, envelope("ann", 0), 249))


def test_never_with_the_null_sender(site: Site) -> None:
    assert not sent_by_me(scene(site, envelope(sender="")))


@pytest.mark.parametrize("user", ["carl@virtual.example", "Carl@Virtual.example"])
def test_virtual_users_are_their_addresses(site: Site, user: str) -> None:
    given = envelope("carl@virtual.example", user=user, domain="virtual.example")
    assert sent_by_me(scene(site, given))
    assert not sent_by_me(scene(site, envelope("carl@virtual.example")))


def test_a_server_of_virtual_users_may_call_ann_by_her_address(site: Site) -> None:
    assert sent_by_me(scene(site, envelope(user="ann@example.org")))
    assert not sent_by_me(scene(site, envelope(user="ann@virtual.example")))


def test_unless_the_site_says_so_tags_are_no_proof(site: Site) -> None:
    seen = scene(site.replace(believe_tags=False), envelope())
    assert not sent_by_me(seen)
    assert "sent.believe_tags" in seen.because
    # It is the copy all the same: the message to oneself comes by itself.
    assert not addressed_to_me(seen)


@pytest.mark.parametrize(
    "extension", ["", "sent-", "sent-x", "sent-" + "a" * 21, "sent-" + "1" * 20, "lists"]
)
def test_other_extensions_are_not_looked_up(site: Site, extension: str) -> None:
    missing = site.replace(tags_path="/nonexistent/tags")
    assert look_up(envelope(extension=extension), missing, 210).tag == ""


def test_a_table_that_others_could_have_written_is_not_believed(site: Site) -> None:
    path = Path(site.tags_path)
    path.chmod(0o666)
    assert "can be written by others" in look_up(envelope(), site, 210).words
    path.chmod(0o644)
    os.chown(path, 65534, -1)
    assert "no plain file of root's" in look_up(envelope(), site, 210).words
    path.unlink()
    assert "No such file" in look_up(envelope(), site, 210).words
    os.mkfifo(path)
    assert "no plain file" in look_up(envelope(), site, 210).words


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("delimiter", ["+", "-"])
def test_a_tag_goes_with_its_delimiter_from_every_field(end: bytes, delimiter: str) -> None:
    tag = "abcdefghijklmnopqrst"
    to = f"ann{delimiter}SENT-{tag}@x".encode()
    head = end.join(
        [b"Delivered-To: " + to, b"Received: by h", b"\tfor <" + to + b">; x", b"", b""]
    )
    letter = without_tag(letter_of(head + b"body sent-" + tag.encode()), tag, "+-")
    assert letter.head == head.replace(to, b"ann@x")
    assert b"".join(letter.chunks()) == letter.head + b"body sent-" + tag.encode()
    assert letter.size == len(b"".join(letter.chunks()))


def test_a_tag_that_an_alias_took_away_is_no_proof_and_is_taken_out_all_the_same(
    site: Site,
) -> None:
    to = f"ann+{keyring.extension_of(KEYS[1], 'ann')}@example.org"
    given = envelope(extension="", recipient="ann@example.org", original_recipient=to)
    letter, seen = recognised(letter_of(f"X-Original-To: {to}\n\n".encode()), given, site, 210)
    assert letter.head == b"X-Original-To: ann@example.org\n\n"
    assert not seen.sent_tag.proof
    assert not sent_by_me(Scene(Message(letter.head, 1), seen, site, 210, True))


@pytest.mark.parametrize("line", ["{d} x ann\n", "{d} 0\n", "{d} 0 %zz\n"])
def test_a_damaged_table_is_no_evidence_and_no_error(site: Site, line: str) -> None:
    digest = tag_digest(keyring.make_tag(KEYS[1], "ann"))
    Path(site.tags_path).write_text(line.format(d=digest))
    assert not look_up(envelope(), site, 210).mine
