"""The account of one delivery: what came, what was decided, what was done, and how long it took.

Guarantee   nothing that goes wrong here touches the delivery: an account is closed when the outcome
            is known, and closing raises nothing, not even the alarm of the deadline.
Holds       no text of the body; the subject, so that people find their message again.
Cost        some hundred microseconds (benchmarks/account.py); no module that a delivery lacks.
See also    decisions.py (the log), syslog.py (the line for the MTA's log), recall.py
"""

from __future__ import annotations

import sys
import time

from mdeliver import limits, system
from mdeliver.deliver.transaction import Done
from mdeliver.history import decisions
from mdeliver.message import Message, plain_text
from mdeliver.plan import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.outcome import Outcome
    from mdeliver.plan import Plan
    from mdeliver.settings import Site


class Account:
    """One delivery under way.

    envelope  as far as it is known
    plan      what is carried out; None as long as nothing is decided
    done      where the copies are
    site      whose settings hold
    state     the state directory
    message   the letter, where somebody has read it already
    """

    __slots__ = (
        "_began_s",
        "_letter",
        "_took_s",
        "done",
        "envelope",
        "message",
        "plan",
        "site",
        "state",
    )

    def __init__(
        self,
        envelope: Envelope,
        letter: Letter | None,
        site: Site,
        state: str,
        began_s: float | None = None,
    ) -> None:
        """Begin; LETTER is None where no message was looked at. STATE: the state directory.

        began_s  when it was begun, by the monotonic clock, if that was before now
        """
        self.plan: Plan | None = None
        self.done = Done()
        self.message: Message | None = None
        self.envelope = envelope
        self._letter = letter
        self.site = site
        self.state = state
        self._began_s = time.monotonic() if began_s is None else began_s
        self._took_s: float | None = None

    def answered(self) -> None:
        """Who waited for the outcome has it: what is done until `close` is for other messages."""
        self._took_s = time.monotonic() - self._began_s

    def close(self, outcome: Outcome) -> None:
        """Write it down: the message's fate is OUTCOME."""
        close_together([(self, outcome)])

    def line(self, outcome: Outcome, *, to_syslog: bool) -> bytes:
        """Tell syslog, if it is there; the line for the log, b"" where none is kept."""
        said = self._said(outcome)
        if to_syslog:
            self._tell_syslog(said)
        return decisions.as_json(said).encode("ascii") + b"\n" if self.site.log_decisions else b""

    def _tell_syslog(self, said: dict[str, Any]) -> None:
        from mdeliver.history import syslog

        try:
            syslog.send(said, self.plan, self.site)
        except OSError:
            pass  # away, or slow: the decision log has it

    def _said(self, outcome: Outcome) -> dict[str, Any]:
        """The object of the log; mdeliver(1) describes it."""
        took_s = self._took_s
        if took_s is None:
            took_s = time.monotonic() - self._began_s
        envelope, plan = self.envelope, self.plan
        recipient, original = envelope.recipient, envelope.original_recipient
        tag = envelope.sent_tag.tag
        if tag:
            recipient, original = _untagged(recipient, tag), _untagged(original, tag)
        return {
            "time": round(time.time(), 3),
            "duration_s": round(took_s, 4),
            "user": envelope.user,
            "sender": envelope.sender,
            "client": envelope.client_address,
            "recipient": recipient,
            "original_recipient": original,
            **self._message(),
            "outcome": outcome.fate,
            "status": outcome.status,
            "text": outcome.text,
            "rule": plan.verdict.rule if plan else None,
            "fired": plan.fired if plan else (),
            "actions": self._actions(),
            "authentication": self._authentication(),
        }

    def _message(self) -> dict[str, Any]:
        letter = self._letter
        queue_id = self.envelope.queue_id
        if letter is None:
            return {"queue_id": queue_id, "message_id": "", "subject": "", "size": 0, "digest": ""}
        message = self.message or Message(letter.head, letter.size)
        return {
            "queue_id": queue_id or _queue_id(message),
            "message_id": _text(message, "message-id"),
            "subject": _text(message, "subject"),
            "size": letter.size,
            "digest": letter.digest.hex(),
        }

    def _authentication(self) -> str:
        """What is known of the sender: what rules asked for, else what our servers wrote."""
        if self.plan is not None and self.plan.authentication:
            return self.plan.authentication
        letter = self._letter
        if letter is None or b"uthentication-" not in letter.head:
            return ""
        from mdeliver.authentication.wording import believed_text

        return believed_text(Message(letter.head, letter.size), self.site)

    def _actions(self) -> list[dict[str, Any]]:
        """What was done, in the order of the rules; places with what finds the copy again."""
        places = {words[:2]: words for words in self.done.places}
        actions = []
        for action in self.plan.actions if self.plan else ():
            if isinstance(action, File):
                words = places.pop((action.store, action.path), ())
                said = {"store": action.store, "mailbox": action.mailbox, "folder": action.folder}
                actions.append(
                    {"action": "file", **said, **self._place(action.path, action.flags, words)}
                    | {"rule": action.rule}
                )
            else:
                from mdeliver.deedwords import action_object

                actions.append({k: _short(v) for k, v in action_object(action).items()})
        # An earlier attempt had planned otherwise, and what it began was completed.
        for words in places.values():
            said = {"store": words[0], "mailbox": None, "folder": None}
            if words[0] in ("maildir", "mbox"):
                flags = tuple(words[3].split(",")) if words[3] else ()
                place = self._place(words[1], flags, words)
                actions.append({"action": "file", **said, **place, "rule": None})
        return actions

    def _place(self, path: str, flags: tuple[str, ...], words: tuple[str, ...]) -> dict[str, Any]:
        """Where a copy is, and what finds it again.

        words  of its deliverer, () where no copy was made
        """
        place: dict[str, Any] = {"path": path, "flags": flags}
        if words and words[0] == "maildir":
            place["name"] = words[-1]
        elif words:
            place["from_line"] = system.from_octets(self.done.from_line.rstrip(b"\n"))
            place["offset"], place["length"] = int(words[-2]), int(words[-1])
        return place


def close_together(closed: Sequence[tuple[Account, Outcome]]) -> None:
    """Write accounts down, with how each message ended: one write for all in one log."""
    lines: dict[str, bytes] = {}
    sockets: dict[str, bool] = {"": False}
    for account, outcome in closed:
        try:
            socket = account.site.syslog
            if socket not in sockets:
                sockets[socket] = system.exists(socket)
            line = account.line(outcome, to_syslog=sockets[socket])
            lines[account.state] = lines.get(account.state, b"") + line
        except BaseException:
            # The deadline's alarm too: what it would undo is done for good.
            pass
    for account, _outcome in closed:
        octets = lines.pop(account.state, b"")
        try:
            if octets:
                site = account.site
                decisions.append(account.state, octets, site.log_kilobytes, site.log_files)
        except BaseException:
            pass  # likewise
    tell_damage({account.state: account.site for account, _outcome in closed})


def tell_damage(sites: Mapping[str, Site]) -> None:
    """Say what was damaged in the state directories that are the keys of SITES."""
    # Whoever found anything damaged has imported that; nobody else pays for it.
    if "mdeliver.damage" not in sys.modules:
        return
    try:
        from mdeliver.history.damaged import tell

        for state, site in sites.items():
            tell(state, site)
    except BaseException:
        pass  # likewise


def _short(value: Any) -> Any:
    """VALUE of an action's object, its texts cut: what a message brings in may be long."""
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    if isinstance(value, str) and len(value) > limits.SAID_TEXT:
        return value[: limits.SAID_TEXT - 1] + "…"
    return value


def _untagged(address: str, tag: str) -> str:
    """ADDRESS without TAG, the secret of a Sent address: with it one could forge mail of theirs."""
    at = address.lower().find(f"-{tag.lower()}@")
    return address if at < 0 else address[:at] + address[at + 1 + len(tag) :]


def _text(message: Message, name: str) -> str:
    """The first field called NAME, decoded, as far as a log wants it."""
    for value in message.raw(name):
        text = plain_text(value[: limits.LOG_TEXT])
        if "=?" in text:
            from mdeliver.headertext import decode_words

            text = decode_words(text, limits.LOG_TEXT)
        return text
    return ""


def _queue_id(message: Message) -> str:
    """The MTA's name for the message: `id` in the Received on top, which this host's MTA wrote.

    local(8) does not say it in any other way. A message that came without an MTA has what its
    sender likes: it is shown in logs and nothing else.
    """
    for value in message.raw("received"):
        text = plain_text(value[: limits.LOG_TEXT]).partition(";")[0]
        if text.startswith("from ") and ")" in text:
            # A HELO may have many words, `x id 1` too; what the server says stands behind.
            text = text.partition(")")[2]
        words = text.split()
        if "id" in words[:-1]:
            found = words[words.index("id") + 1]
            return found if found.isascii() and found.isalnum() and len(found) <= 32 else ""
        break
    return ""
