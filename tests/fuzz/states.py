"""State files after a crash, a full disk or a hand that slipped: readers never fail, never lose.

A journal's line counts only with its checksum; the letters before it, which are written over later,
are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

from mdeliver import acceptance, damage
from mdeliver.acceptance import Loaded
from mdeliver.deliver import quota, subscriptions
from mdeliver.deliver.journal import Journal
from mdeliver.deliver.transaction import deliver_files, key_of
from mdeliver.envelope import Envelope
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import letter_of
from mdeliver.memory import Memory, Recollection, name_of
from mdeliver.outcome import Deferral, Outcome, delivered
from mdeliver.plan import File, Plan, Verdict
from mdeliver.popsync.asbefore import AsBefore
from mdeliver.popsync.watch import look_of
from mdeliver.postfix import changes
from mdeliver.rulescache import RulesCache
from mdeliver.sent.evidence import look_up, tag_digest
from mdeliver.sent.filing import STATE as SENT_COPIES
from mdeliver.sent.filing import file_once, look_again
from mdeliver.settings import Site
from tests.fuzz.target import Target, directory, is_printable, read, write

_LETTER = letter_of(b"From a Mon Nov 23 10:00:00 2026\nReceived: x\nMessage-ID: <1@a>\n\nhi\n")
_KEY = key_of(_LETTER, Envelope("ann", "/", 0), "")
_OTHER = key_of(_LETTER, Envelope("bob", "/", 0), "")
_FROM = b"From%20a%20Mon%20Nov%2023%2010:00:00%202026%0a"
_PAYLOADS = (
    _KEY + b"\tboot\t1\t" + _FROM + b" " + _FROM + b"\tmbox STATE/box STATE/box % % 0 90",
    _OTHER + b"\tboot\t1\t" + _FROM + b" " + _FROM + b"\tmbox STATE/box STATE/box % % 0 90"
    b"\tmaildir STATE/M STATE/M seen % 1.M2.mx",
)
"""Of this message, and of another, as journals have them."""


def _checksum(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=8).hexdigest().encode()


def _delivered_once(state: str, home: str) -> None:
    """The letter goes to one place, once, whatever the state directory holds."""
    envelope = Envelope("ann", "/", 0)
    places = (File("maildir", f"{home}/M", f"{home}/M", None, None, (), None),)
    for _attempt in range(2):
        deliver_files(places, _LETTER, envelope, state_directory=state, hostname="mx", now_s=1.7e9)
    assert len(os.listdir(f"{home}/M/new")) == 1
    assert not os.listdir(f"{home}/M/tmp")


def looks(octets: bytes) -> None:
    """With whom pop-sync has found nothing to do: damaged, everybody is looked at."""
    with directory() as state:
        path = write(f"{state}/looks", octets.replace(b"DIR", state.encode()))
        before = AsBefore(path, "settings")
        assert bool(before.trouble) == bool(os.path.exists(f"{path}.damaged"))
        for user in ("ann", "bob"):
            look = before.look(user)
            assert look is None or all(name.startswith("/") for name in look["files"])
        before.note("ann", {"files": {path: []}, "watch": []})
        before.keep()
        again = AsBefore(path, "settings")
        assert (again.trouble, again.look("ann")) == ("", None)


def undo(octets: bytes) -> None:
    """What Postfix's settings were before: whole, or nothing of it is put back."""
    with directory() as made:
        path = write(f"{made}/x.undo", octets)
        try:
            kept = changes._kept(path)
        except changes.SetupError as error:
            said = str(error)
            assert path in said
            return
        for file, states in kept.items():
            assert file.startswith("/")
            assert all(text is None or isinstance(text, str) for text in states.values())
            assert {"before"} <= states.keys() <= {"before", "after"}


def journal(octets: bytes) -> None:
    """What stands before in the journal loses no message that comes now, and doubles none."""
    with directory() as state:
        write(f"{state}/journal", octets)
        _delivered_once(state, state)
        other = Journal(state, _OTHER)
        other.torn_by("/box")
        other.close()
        _is_mended(f"{state}/journal", octets)


def _is_mended(path: str, octets: bytes) -> None:
    """The file, which held OCTETS, is told of once if it is told of, and kept; then it is whole."""
    found = damage.taken(os.path.dirname(path))
    assert [one.path for one in found] in ([], [path])
    for one in found:
        # A line may have come behind it by then, or what was torn been cut off.
        assert all(was == now for was, now in zip(octets, read(one.kept), strict=False))


def journal_letters(octets: bytes) -> None:
    """Lines whose letters are damaged, of this message and of another: it is delivered, or put off
    where the line may mean that it was, and never fails."""
    with directory() as state:
        lines = []
        for number, letters in enumerate(octets.split(b"\n")[:9]):
            payload = _PAYLOADS[number % len(_PAYLOADS)].replace(b"STATE", state.encode())
            lines.append(b"\t".join((letters.split(b"\t")[0], _checksum(payload), payload)))
        write(f"{state}/journal", b"\n" + b"\n\n".join(lines) + b"\n")
        held = Journal(state, _KEY)
        held.torn_by(f"{state}/box")
        held.close()
        places = (File("mbox", f"{state}/box", f"{state}/box", None, None, (), None),)
        with suppress(Deferral):
            deliver_files(
                places, _LETTER, Envelope("ann", "/", 0), state_directory=state, hostname="mx",
                now_s=1.7e9,
            )  # fmt: skip


def memory(octets: bytes) -> None:
    """What was remembered: a damaged file is one that remembers less."""
    with directory() as state:
        write(f"{state}/memory", octets)
        name = name_of(b"one")
        known = Recollection(state).holds(b"d", name, 60)
        held = Memory(state)
        held.remember(b"d", name)
        assert held.holds(b"d", name, 60)
        assert held.claim(b"r", name, 60) != known or known
        held.close()
        _is_mended(f"{state}/memory", octets)
        again = Memory(state)
        again.remember(b"d", name_of(b"two"))
        again.close()
        assert damage.taken(state) == []
        assert Recollection(state).holds(b"d", name, 60)


def cache(octets: bytes) -> None:
    """Kept rules that are damaged are compiled anew. (With a right checksum they are believed:
    whoever can write it can write the rules.)"""
    with directory() as home:
        os.makedirs(f"{home}/.cache/mdeliver", 0o700)
        write(f"{home}/.cache/mdeliver/rules", octets)
        assert RulesCache(Envelope("ann", home, os.getuid()), None, {}).fetch() is None


def sent_copies(octets: bytes) -> None:
    """The list of copies that a client may bring itself: a delivery does not fail for it."""
    with directory() as state:
        for part in ("new", "cur", "tmp"):
            os.makedirs(f"{state}/S/{part}")
        write(f"{state}/{SENT_COPIES}", octets.replace(b"DIR", state.encode()))
        look_again(state, 1.7e9)
        write(f"{state}/{SENT_COPIES}", octets.replace(b"DIR", state.encode()))
        file = File("maildir", f"{state}/S", state, None, None, (), None, once=True)
        plan = Plan((file,), Verdict("deliver", "", "", None))
        done: list[Plan] = []

        def do(made: Plan) -> Outcome:
            done.append(made)
            return delivered()

        damage.taken(state)
        file_once(plan, _LETTER, state, 1.7e9, do)
        assert len(done) == 1
        _is_mended(f"{state}/{SENT_COPIES}", octets.replace(b"DIR", state.encode()))
        look_again(state, 1.7e9)
        assert damage.taken(state) == []


def accepted(octets: bytes) -> None:
    """The rules that were accepted last: where that is damaged, the new ones are tried anew."""
    with directory() as state:
        home = f"{state}/home"
        os.makedirs(home)
        rules = write(f"{home}/rules", b"keep\n")
        write(f"{home}/rules.cases", b'message "a letter":\n    From: a@b.example\ndiscards\n')
        envelope = Envelope("ann", home, os.getuid())
        loaded = Loaded([rules], {rules: "keep\n"}, {})
        write(f"{state}/{acceptance._kept_name(loaded, envelope)}", octets)
        site, kept = Site(cases_required=True), acceptance._kept_name(loaded, envelope)
        refused = acceptance.examine(loaded, envelope, site, state)
        assert refused is not None
        assert is_printable(refused.line)
        _is_mended(f"{state}/{kept}", octets)
        acceptance.examine(loaded, envelope, site, state)
        assert damage.taken(state) == []


def tags(octets: bytes) -> None:
    """The table of tags: what is damaged proves nothing."""
    tag = "a" * 20
    with directory() as state:
        path = write(f"{state}/tags", octets.replace(b"TAG", tag_digest(tag).encode()))
        os.chmod(path, 0o644)
        envelope = Envelope("ann", "/", os.getuid(), "", f"ann+sent-{tag}@example.org")
        found = look_up(envelope, Site(tags_path=path, believe_tags=True), 1.7e9)
        if found.proof:
            assert octets.find(b"TAG") >= 0


def maildirsize(octets: bytes) -> None:
    """A quota that cannot be read is none; a name that lies about its size does not matter."""
    with directory() as root:
        for part in ("new", "cur", "tmp"):
            os.makedirs(f"{root}/{part}")
        name = octets.partition(b"\n")[2][:100].replace(b"/", b"_").replace(b"\0", b"_")
        if name.strip(b"."):
            write(f"{root}/cur/".encode().decode() + os.fsdecode(name), b"x")
        write(f"{root}/maildirsize", octets)
        with suppress(Deferral):
            quota.refuse_if_full(root, 10)
        quota.count(root, 10)
        write(f"{root}/subscriptions", octets)
        subscriptions.subscribe(root, "A.b")
        subscriptions.unsubscribe(root, "A.b")


def _journals() -> Iterator[bytes]:
    with directory() as state:
        held = Journal(state, _KEY)
        held.begin(
            b"From a", b"From a", [("maildir", f"{state}/M", f"{state}/M", "", "n", "")], "."
        )
        held.close()
        with open(f"{state}/journal", "rb") as file:
            written = file.read()
    yield written.replace(_KEY, _OTHER)


def _looks() -> Iterator[bytes]:
    with directory() as state:
        before = AsBefore(f"{state}/looks", "settings")
        before.note("ann", {"files": {state: look_of(state), "/x": []}, "watch": ["/x"]})
        before.keep()
        yield read(f"{state}/looks").replace(state.encode(), b"DIR")


_JSON = (
    b'{"good": {"digest": "x", "accepted_s": 1, "rules": ["/r"], "texts": {"/r": "keep\\n"}},'
    b' "refused": {"digest": "y", "line": "z", "until_s": null}}'
)
_PROGRAM = compile_rules([Source("rules", "keep\n")], str).program

TARGETS = {
    "journal": Target(journal, _journals, (b"\n", b"\t", b".", b"D", b"%00", _KEY, b"\0" * 16)),
    "journal-letters": Target(
        journal_letters,
        lambda: [b"..\n.c\nD.", b"F\nR.\nScc", b".cc\n\0\0"],
        (b".", b"c", b"u", b"D", b"F", b"R", b"S", b"\n"),
    ),
    "looks": Target(
        looks,
        _looks,
        (b"\n", b"\t", b"ann\t", b"{}", b"[]", b'{"files": {', b'"watch": ', b"\0", b"/", b"DIR"),
    ),
    "undo": Target(
        undo,
        lambda: [
            b'{"/e/main.cf": {"before": "was\\n", "after": "now\\n"}, "/e/x": {"before": null}}'
        ],
        (b"null", b"{}", b"[]", b'"before": ', b'"after": ', b"/e/", b"\\u0000", b"NaN"),
    ),
    "memory": Target(memory, lambda: [name_of(b"one") + b"d" + b"\0" * 32], (b"d", b"r", b"\0")),
    "rulescache": Target(cache, lambda: [b"", b"(" + b"\x04" * 30], (b"[", b"(", b")", b"\xa9")),
    "sent-copies": Target(
        sent_copies,
        lambda: [b"1699999999 aa DIR/S\n1699990000 bb DIR/none\n"],
        (b"DIR/S", b"\n", b"1699999999 ", b"\0", b"\xff", b"9" * 5000),
    ),
    "accepted": Target(
        accepted,
        lambda: [_JSON],
        (b'"good"', b"null", b"[]", b"{}", b"1e999", b"NaN", b'"until_s":'),
    ),
    "tags": Target(
        tags, lambda: [b"TAG 0 ann\n", b"TAG 1700000001 b%6Fb ann\n"], (b"TAG ", b"%", b" ", b"\n")
    ),
    "maildirsize": Target(
        maildirsize,
        lambda: [b"1000S,10C\n5 1\n", b"1000S\nx,S=12:2,S"],
        (b"S", b"C", b",S=", b"9" * 4400, b"-1 1\n", "²".encode()),
    ),
}
