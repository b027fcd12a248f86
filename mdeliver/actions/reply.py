"""`reply with`: decide whether the sender is answered, and write the answer.

Whom       the envelope sender, where answerable.py finds nothing against it, and where the same
           text was not sent there within the time (a week unless said). The text is compared as the
           rules have it, so that `{subject}` in it does not make a new one of each.
From       what the text says, else the address in To or Cc by which the message came to the user.
Envelope   the null sender: nobody can answer the answer (RFC 3834 3.3).
Header     Subject (`Auto: ` and the message's own), In-Reply-To and References, by which the answer
           stands beside the question, and Auto-Submitted: auto-replied (RFC 3834 3.1).
Body       text/plain in UTF-8, as it is where it is ASCII in short lines, else quoted-printable.
See also   deliver/reply.py, replytext.py; RFC 3834, RFC 5230 5
"""

from __future__ import annotations

from binascii import b2a_qp

from mdeliver import limits
from mdeliver.answerable import asked_at, why_not
from mdeliver.edits import field_line, header_text
from mdeliver.memory import name_of, reply_name
from mdeliver.plan import Reply
from mdeliver.replytext import author_of, split_reply
from mdeliver.scene import Filled, period_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.addresses import Address
    from mdeliver.evaluate import Run
    from mdeliver.language.syntax import ReplyWith
    from mdeliver.scene import Scene

WEEK_S = 7 * 86400.0

_SUBJECT = 200
"""Characters of the message's subject that an answer repeats."""

_LINE = 78
"""Characters; RFC 5322 2.1.1 wants no longer lines."""


def plan_reply(run: Run, action: ReplyWith) -> None:
    """Plan the answer, or say why there is none."""
    scene = run.scene
    every_s = WEEK_S if action.every is None else period_s(action.every)
    to = scene.return_path()
    written = _written(scene, action)
    reason = why_not(scene)
    if not reason and scene.outside is not None and scene.outside.answered(to, written, every_s):
        reason = f'"{to}" has been sent this before'
    name = reply_name(to, written)
    if any(isinstance(planned, Reply) and planned.name == name for planned in run.actions.values()):
        reason = f'"{to}" is sent this already'
    scene.because = f"no reply: {reason}" if reason else ""
    if reason:
        return
    pieces = [written] if action.is_file else scene.pieces(action.text)
    subject, author, body = split_reply([(isinstance(p, Filled), p) for p in pieces])
    # The rules' own text is no longer; what a brace brought in may be half a megabyte.
    body = body[: limits.REPLY_TEXT]
    subject = header_text(subject or _automatic_subject(scene))
    octets = _message(scene, to, subject, author, body)
    reply = Reply(to, subject, every_s, action.span.where, octets, name)
    run.add(reply)


def _written(scene: Scene, action: ReplyWith) -> str:
    """The text as the rules or the file have it, braces and all."""
    if action.is_file:
        key = action.span.file, "".join(map(str, action.text.parts))  # no braces
        for file, path, text in scene.replies:
            if (file, path) == key:
                return text
        raise AssertionError(f"{key} was not read")
    return "".join([p if isinstance(p, str) else f"{{{p.name}}}" for p in action.text.parts])


def _automatic_subject(scene: Scene) -> str:
    """RFC 3834 3.1.5, RFC 5230 5.3."""
    subject = next(iter(scene.came.texts("subject")), "")[:_SUBJECT]
    return f"Auto: {subject}" if subject else "Automatic reply"


def _message(scene: Scene, to: str, subject: str, author: str, body: str) -> bytes:
    """The whole answer."""
    from email.utils import formatdate

    writer = author_of(author) if author else None
    mine = writer.text if writer is not None else asked_at(scene)
    encoding, encoded = _encoded(body)
    asked = _message_id(next(iter(scene.came.texts("message-id")), ""))
    name = name_of(scene.came.head, to.encode("utf-8", "surrogateescape"), encoded)
    host = mine.rpartition("@")[2] or scene.site.hostname
    lines = [
        _as_it_is("From", _mailbox(writer) if writer is not None else mine),
        _as_it_is("To", to),
        field_line("Subject", subject),
        _as_it_is("Date", formatdate(scene.now_s, localtime=True)),
        _as_it_is("Message-ID", f"<mdeliver.{int(scene.now_s)}.{name.hex()}@{host}>"),
    ]
    if asked:
        lines.append(_as_it_is("In-Reply-To", asked))
        lines.append(_as_it_is("References", "\n ".join([*_references(scene), asked])))
    lines += [
        b"Auto-Submitted: auto-replied\n",
        b"MIME-Version: 1.0\n",
        b"Content-Type: text/plain; charset=utf-8\n",
        _as_it_is("Content-Transfer-Encoding", encoding),
        b"\n",
    ]
    return b"".join(lines) + encoded


def _as_it_is(name: str, text: str) -> bytes:
    return f"{name}: {text}\n".encode("utf-8", "replace")


def _mailbox(writer: Address) -> str:
    """WRITER as From has it, the name encoded where it must be."""
    from email.utils import formataddr

    name = header_text(writer.display_name)
    # formataddr refuses an address that is not ASCII, which a header of SMTPUTF8 has as it is.
    return formataddr((name, "a@b")).replace("<a@b>", f"<{writer.text}>") if name else writer.text


def _encoded(body: str) -> tuple[str, bytes]:
    """How BODY is encoded (RFC 2045 6), and BODY so."""
    text = "".join([c for c in body if c in "\n\t" or c.isprintable()])
    octets = text.encode("utf-8", "replace")
    if text.isascii() and all(len(line) <= _LINE for line in text.split("\n")):
        return "7bit", octets
    return "quoted-printable", b2a_qp(octets, istext=True)


def _message_id(text: str) -> str:
    """The first Message-ID in TEXT, if it is one that a header can repeat."""
    start = text.find("<")
    end = text.find(">", start)
    found = text[start : end + 1] if 0 <= start < end else ""
    fits = 2 < len(found) <= 250 and found.isascii() and found.isprintable() and " " not in found
    return found if fits else ""


def _references(scene: Scene) -> list[str]:
    """What the message refers to: RFC 5322 3.6.4. The newest are the last."""
    texts = scene.came.texts("references") or scene.came.texts("in-reply-to")
    words = " ".join(texts)[-limits.REFERENCES_TEXT :].split()
    return [word for word in words if _message_id(word) == word]
