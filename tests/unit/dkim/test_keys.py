"""Key pairs: made once, for the milter's group alone, and read as others write them."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mdeliver.dkim import keys, record
from mdeliver.dkim.keys import DkimError


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "etc" / "dkim")


def made(directory: str, algorithm: keys.Algorithm = "rsa", selector: str = "s1") -> keys.Key:
    return keys.make(directory, "Example.ORG.", selector, algorithm, 2048, None)


def test_a_key_is_its_owners_alone_and_registered(directory: str) -> None:
    os.umask(os.umask(0o022))
    key = made(directory)
    assert (key.domain, key.state, key.name) == ("example.org", "new", "s1._domainkey.example.org")
    assert stat.S_IMODE(os.stat(key.path(directory)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert keys.registered(directory) == [key]
    assert keys.readable_by_others(key.path(directory), None) == ""
    assert os.listdir(f"{directory}/example.org") == ["s1.pem"]


def test_no_key_is_written_over(directory: str) -> None:
    key = made(directory)
    before = Path(key.path(directory)).read_bytes()
    with pytest.raises(DkimError, match="there is a key already"):
        made(directory)
    keys.register(directory, [])  # a file that nobody knows of is somebody's, too
    with pytest.raises(DkimError, match="there is a key already"):
        made(directory)
    assert Path(key.path(directory)).read_bytes() == before


@pytest.mark.parametrize("bits", [0, 1024, 2047, 8192])
def test_sizes_that_nobody_should_have(directory: str, bits: int) -> None:
    with pytest.raises(DkimError, match="2048 to 4096"):
        keys.make(directory, "example.org", "s", "rsa", bits, None)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "a..b", "-a", "a\nb", '"]=os', "x" * 64, "\udc80"]
)
def test_names_that_are_none_become_no_paths(directory: str, name: str) -> None:
    with pytest.raises(DkimError):
        keys.make(directory, "example.org", name, "ed25519", 0, None)
    with pytest.raises(DkimError):
        keys.make(directory, f"{name}/", "s", "ed25519", 0, None)


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_what_is_signed_by_the_key_is_verified_by_its_record(
    directory: str, algorithm: keys.Algorithm
) -> None:
    key = made(directory, algorithm)
    known, public = keys.public_octets(key.path(directory))
    assert known == algorithm
    pem = Path(key.path(directory)).read_bytes()
    if algorithm == "ed25519":  # dkimpy wants the bare seed
        private = serialization.load_pem_private_key(pem, None)
        assert isinstance(private, ed25519.Ed25519PrivateKey)
        pem = base64.b64encode(private.private_bytes_raw())
    letter = b"From: ann@example.org\r\nSubject: hi\r\n\r\nhello\r\n"
    signature = dkim.sign(
        letter, b"s1", b"example.org", pem, signature_algorithm=algorithm.encode() + b"-sha256"
    )
    published = {key.name + ".": record.value_of(algorithm, public)}

    def look_up(name: bytes, **_: object) -> bytes:
        return published[name.decode()].encode()

    assert dkim.verify(signature + letter, dnsfunc=look_up)
    assert not dkim.verify(signature + letter + b"more\r\n", dnsfunc=look_up)


def test_keys_in_other_forms(tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(private.private_bytes_raw()) + b"\n")
    assert keys.public_octets(str(path)) == ("ed25519", private.public_key().public_bytes_raw())
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for octets, why in ((pem, "another kind"), (b"x", "no private key"), (b"", "there is no")):
        path.write_bytes(octets)
        with pytest.raises(DkimError, match=why):
            keys.public_octets(str(path))


def test_who_can_read_it_is_told(directory: str) -> None:
    path = made(directory).path(directory)
    os.chmod(path, 0o644)
    assert "everybody" in keys.readable_by_others(path, None)
    os.chmod(path, 0o640)
    assert "the group" in keys.readable_by_others(path, None)
    assert keys.readable_by_others(path, os.stat(path).st_gid) == ""
    os.chmod(directory, 0o770)
    assert "may change" in keys.readable_by_others(path, os.stat(path).st_gid)


@pytest.mark.parametrize(
    "text",
    ["x", "[1]", '[{"domain": "a"}]', '[{"domain": "../x", "selector": "s"}]', "[[]]", "1"],
)
def test_a_damaged_register_is_told(directory: str, text: str) -> None:
    made(directory)
    Path(directory, "keys.json").write_text(text)
    with pytest.raises(DkimError, match=r"keys\.json is damaged"):
        keys.registered(directory)
