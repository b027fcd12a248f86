"""`mdeliver bcc-maps` as a subject of faults: keys, digests and tables are made anew."""

from __future__ import annotations

import os

from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import generate, keys, tables
from mdeliver.sent.settings import BccSettings
from tests.faults.subject import Subject

_OLD, _NEW = keys.Key(1_600_000_000, b"o" * 32), keys.Key(1_700_000_000, b"n" * 32)
_ROWS = [(f"user{n}@example.org", f"user{n}+sent-%s@example.org") for n in range(120)]


def _text(tag: bytes) -> bytes:
    rows = [(sender, target % tag.decode()) for sender, target in _ROWS]
    return tables.text_of(rows)


class Tabled(Subject):
    """A run after the key was changed: who may be answered is known before anybody is asked."""

    def prepare(self) -> None:
        (self.home / "postfix").mkdir(parents=True)
        os.chmod(self.home, 0o755)
        self._write(_OLD, b"old")

    def act(self, attempt: int) -> None:
        self._write(_NEW, b"new")
        self.say("new")

    def _settings(self) -> BccSettings:
        home = str(self.home)
        return BccSettings(key=f"{home}/keys/sent.keys", tags=f"{home}/lib/sent.tags")

    def _write(self, key: keys.Key, tag: bytes) -> None:
        path = str(self.home / "postfix" / "sender_bcc")
        made = (
            tables.Table("texthash", path, _text(tag)),
            tables.Table("texthash", f"{path}-local", _text(b"")),
        )
        wanted = generate.Wanted((), made, self._digests(tag), (key,), ())
        generate.write(wanted, self._settings(), Postfix())

    @staticmethod
    def _digests(tag: bytes) -> bytes:
        return b"digests of " + tag + b"\n"

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """Every file is whole, old or new, and no table has a tag that deliveries do not know."""
        table = (self.home / "postfix" / "sender_bcc").read_bytes()
        digests = (self.home / "lib" / "sent.tags").read_bytes()
        wrong = []
        for name, found, make in (("table", table, _text), ("digests", digests, self._digests)):
            if found not in (make(b"old"), make(b"new")):
                wrong.append(f"torn: the {name} is {found[:40]!r}")
        if table == _text(b"new") and digests != self._digests(b"new"):
            wrong.append("lost: copies go to addresses that deliveries do not know")
        if promised and table != _text(b"new"):
            wrong.append("lost: the new table")
        try:
            kept = keys.load_keys(self._settings().key)
        except keys.KeysError as error:
            return [*wrong, f"torn: the keys: {error}"]
        if kept not in ([_OLD], [_NEW]):
            wrong.append("lost: the keys")
        return wrong

    def wrong(self) -> list[str]:
        wrong = self.lacking(frozenset({"new"}))
        if keys.load_keys(self._settings().key) != [_NEW]:
            wrong.append("lost: the new key")
        return wrong + [
            f"litter: {path.relative_to(self.home)}"
            for path in self.home.rglob(".*")
            if path.is_file()
        ]
