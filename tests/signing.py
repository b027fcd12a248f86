"""Signs messages with DKIM and seals them with ARC: RFC 6376 and RFC 8617 once more, for tests.

Independent  of dkimpy, which checks what is signed here
Keys         made once for each process; what the DNS says of them is `key_records`
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Key = rsa.RSAPrivateKey | Ed25519PrivateKey

SIGNED = ("from", "to", "subject", "date", "message-id")


@cache
def rsa_key(bits: int = 1024) -> rsa.RSAPrivateKey:
    """An RSA key, the same each time."""
    return rsa.generate_private_key(65537, bits)


@cache
def ed25519_key() -> Ed25519PrivateKey:
    """An Ed25519 key, the same each time."""
    return Ed25519PrivateKey.generate()


def key_record(key: Key, tags: str = "") -> str:
    """What stands in the DNS for KEY; TAGS before p=."""
    public = key.public_key()
    if isinstance(key, Ed25519PrivateKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; {tags}p={base64.b64encode(raw).decode()}"
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; {tags}p={base64.b64encode(der).decode()}"


def zone_line(name: str, record: str) -> str:
    """RECORD as a TXT record of a zone file, in pieces of 200."""
    pieces = [record[at : at + 200] for at in range(0, len(record), 200)]
    quoted = [f'"{piece}"' for piece in pieces or [""]]
    return f"{name} TXT {' '.join(quoted)}\n"


def signed(
    message: bytes,
    key: Key,
    domain: str,
    selector: str = "sel",
    *,
    canonical: str = "relaxed/relaxed",
    fields: tuple[str, ...] = SIGNED,
    tags: str = "",
    length: int | None = None,
    algorithm: str = "",
) -> bytes:
    """MESSAGE with a DKIM-Signature above it.

    canonical  of header and body
    tags       more of them, such as "x=1; "
    length     octets of the body that are signed (l=)
    """
    head, body = _parts(message)
    hashed = _body(body, canonical.partition("/")[2])
    more = tags
    if length is not None:
        hashed = hashed[:length]
        more += f"l={length}; "
    name = algorithm or _algorithm(key)
    value = (
        f" v=1; a={name}; c={canonical}; d={domain}; s={selector}; {more}"
        f"h={':'.join(fields)}; bh={_base64(_digest(hashed, name))}; b="
    )
    relaxed = canonical.startswith("relaxed")
    octets = b"".join(_chosen(head, fields, relaxed))
    octets += _field("DKIM-Signature", value, relaxed).removesuffix(b"\r\n")
    value += _base64(_signature(key, octets, name))
    return f"DKIM-Signature:{value}\r\n".encode() + _crlf(message)


def sealed(
    message: bytes,
    key: Key,
    domain: str,
    results: str,
    cv: str = "",
    selector: str = "sel",
    tags: str = "",
) -> bytes:
    """MESSAGE with one more ARC set above it; RESULTS is what the sealer saw."""
    head, body = _parts(message)
    sets = _sets(head)
    number = len(sets) + 1
    cv = cv or ("pass" if sets else "none")
    results_field = ("ARC-Authentication-Results", f" i={number}; {domain}; {results}")
    bh = _base64(_digest(_body(body, "relaxed"), "rsa-sha256"))
    value = (
        f" i={number}; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; {tags}"
        f"h=from:to:subject:dkim-signature; bh={bh}; b="
    )
    chosen = b"".join(_chosen(head, ("from", "to", "subject", "dkim-signature"), True))
    octets = chosen + _field("ARC-Message-Signature", value, True).removesuffix(b"\r\n")
    message_field = (
        "ARC-Message-Signature",
        value + _base64(_signature(key, octets, "rsa-sha256")),
    )
    value = f" i={number}; cv={cv}; a=rsa-sha256; d={domain}; s={selector}; b="
    sets.append([results_field, message_field])
    octets = b"".join(_field(name, text, True) for one in sets for name, text in one)
    octets += _field("ARC-Seal", value, True).removesuffix(b"\r\n")
    seal = ("ARC-Seal", value + _base64(_signature(key, octets, "rsa-sha256")))
    new = "".join(f"{name}:{text}\r\n" for name, text in (seal, message_field, results_field))
    return new.encode() + _crlf(message)


# --- the canonical forms ---------------------------------------------------------------------


def _crlf(message: bytes) -> bytes:
    return re.sub(rb"\r?\n", b"\r\n", message)


def _parts(message: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """The fields of the header, folds kept, and the body."""
    head, _, body = _crlf(message).partition(b"\r\n\r\n")
    lines = re.split(r"\r\n(?![ \t])", head.decode("latin-1"))
    return [(n, v) for n, _, v in (line.partition(":") for line in lines)], body


def _field(name: str, value: str, relaxed: bool) -> bytes:
    if relaxed:
        name, value = name.lower(), " ".join(value.split())
    return f"{name}:{value}\r\n".encode("latin-1")


def _chosen(head: list[tuple[str, str]], fields: tuple[str, ...], relaxed: bool) -> list[bytes]:
    """The fields that are signed: each name takes the lowest that is left (RFC 6376 5.4.2)."""
    left = list(head)
    chosen = []
    for wanted in fields:
        for at in range(len(left) - 1, -1, -1):
            if left[at][0].lower() == wanted:
                chosen.append(_field(*left.pop(at), relaxed))
                break
    return chosen


def _body(body: bytes, canonical: str) -> bytes:
    lines = body.split(b"\r\n")
    if canonical == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    text = b"".join(line + b"\r\n" for line in lines)
    return text or (b"" if canonical == "relaxed" else b"\r\n")


def _sets(head: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """The ARC sets that are there, the oldest first, each in the order in which seals cover it."""
    found: dict[int, dict[str, tuple[str, str]]] = {}
    for name, value in head:
        if name.startswith("ARC-") and (number := re.match(r"\s*i=(\d+)", value)):
            found.setdefault(int(number[1]), {})[name] = (name, value)
    order = ("ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal")
    return [[found[number][name] for name in order] for number in sorted(found)]


# --- keys ------------------------------------------------------------------------------------


def _algorithm(key: Key) -> str:
    return "ed25519-sha256" if isinstance(key, Ed25519PrivateKey) else "rsa-sha256"


def _digest(octets: bytes, algorithm: str) -> bytes:
    return hashlib.new(algorithm.rpartition("-")[2], octets).digest()


def _signature(key: Key, octets: bytes, algorithm: str) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(_digest(octets, algorithm))  # RFC 8463 3
    digest = hashes.SHA1() if algorithm.endswith("sha1") else hashes.SHA256()
    return key.sign(octets, padding.PKCS1v15(), digest)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
