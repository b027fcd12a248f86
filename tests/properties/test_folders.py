"""No message climbs out of a mailbox, and names survive modified UTF-7."""

from __future__ import annotations

from os.path import normpath

from hypothesis import example, given
from hypothesis import strategies as st

from mdeliver.folders import NAME_BYTES, decode_name, encode_name, maildirpp_name, safe_step

NASTY = st.one_of(
    st.text(max_size=300),
    st.text("./~\\\0\n\r\t&-,é🎉", max_size=20),
    st.sampled_from(["cur", "new", "tmp", "..", ".", "subscriptions", "dovecot.index", "a.lock"]),
    st.text("../", max_size=9).map(lambda climb: climb + "etc/passwd"),
    # The environment's raw bytes arrive as lone surrogates.
    st.text(st.characters(categories=["Cs", "L"]), max_size=9),
)


@given(st.lists(NASTY, min_size=1, max_size=6))
@example(["é" * 100] * 3)
def test_a_maildirpp_folder_is_one_entry_of_its_root(steps: list[str]) -> None:
    name = maildirpp_name([safe_step(step, dots=False) for step in steps])
    assert name.count(".") == len(steps)
    assert name[1:2] not in ("", ".")
    assert not set(name) & set("/\0\n")
    assert name.isascii()
    assert len(name) <= NAME_BYTES
    assert normpath(f"/etc/{name}") == f"/etc/{name}"


@given(st.lists(NASTY, min_size=1, max_size=6))
def test_a_step_below_a_directory_is_one_entry(steps: list[str]) -> None:
    names = [encode_name(safe_step(step, dots=True)) for step in steps]
    path = "/".join(["", "root", *names])
    assert normpath(path) == path
    assert path.count("/") == len(steps) + 1
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= NAME_BYTES
        assert name not in ("cur", "new", "tmp", "subscriptions")
        assert not name.startswith((".", "~", "dovecot"))
        assert not name.endswith(".lock")


@given(st.text(max_size=50))
def test_modified_utf7_reads_back(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    encoded = encode_name(name)
    assert encoded.isascii()
    assert decode_name(encoded) == name


@given(st.text("&-,+/aé=", max_size=20))
def test_decoding_never_raises(name: str) -> None:
    decode_name(name)


@given(NASTY)
def test_safe_steps_stay_as_they_are(step: str) -> None:
    for dots in (True, False):
        once = safe_step(step, dots=dots)
        assert safe_step(once, dots=dots) == once
