"""Rules that ask and do everything, over a message that a stranger wrote."""

from __future__ import annotations

import json

from mdeliver import explain
from mdeliver.addresses import can_be_sent_to
from mdeliver.decision import outcome_of
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message
from mdeliver.plan import Edit, File, Forward, Reply
from mdeliver.settings import Site
from tests.fuzz.target import is_printable

_ENVELOPE = Envelope("ann", "/home/ann", 1000, "bob@example.net", "ann@example.org")
_SITE = Site(("example.org",), "mail.example.org")

_RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox boxes = mbox "~/Mail/{folder}"
mailbox pop3 = mbox "/var/mail/{user}"
inbox = imap, pop3
me = "ann@example.org"
if subject matches "*(*):*": also file to imap/{1}/{subject}
if list-id matches "(*).(*)": also file to boxes/{2}/{list-id}
if any header contains "zz" or recipients name contains "zz": mark as flagged
if body contains "zz" or attachment matches "*.exe" or attachment type is "a/b": mark as seen
if size > 1 and header "X-Spam" > 3: also file to imap/Junk
if from, to, cc is me or addressed to me or automatic or mailing list: mark as answered
if dkim pass or spf fail or sent by me or duplicate within 1d: mark as draft
set header "X-A: {subject} {from name} {reply-to}"
add header "Subject: {list-id}{from domain}"
remove header "X-B", "To"
also forward to "{from}", "bob@example.net"
also reply with "Subject: {subject}\\n\\n{subject} {from name}" every 1d
also pipe to "cat" "{subject}" "{from}"
run "cat" "{list-id}{header \\"X-A\\"}"
log "{subject} {from}"
if header "X-No" exists: reject "{subject}"
file to imap/{from domain}/{lower subject} as seen
""".replace('{header \\"X-A\\"}', "")
_PROGRAM = compile_rules([Source("rules", _RULES)], str).program
assert _PROGRAM is not None


def decision(octets: bytes) -> None:
    """Every kind of test and action: the plan stays where the rules say, and can be shown."""
    decide(letter_of(octets))


def decide(letter: Letter) -> None:
    """As `decision`, of a letter that need not be in memory."""
    message = Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)
    assert _PROGRAM is not None
    decided = evaluate(_PROGRAM, message, _ENVELOPE, _SITE, 1.7e9, explain=True)
    for action in decided.plan.actions:
        match action:
            case File(path=path, root=root):
                assert path.startswith(("/home/ann/Maildir", "/home/ann/Mail/", "/var/mail/ann"))
                assert root.startswith(("/home/ann/Maildir", "/home/ann/Mail/", "/var/mail/ann"))
                assert not {"..", ".", ""} & set(path.split("/")[1:]), path
                assert is_printable(path), path
            case Edit(name=name, text=text):
                assert is_printable(name + text)
            case Forward(addresses=addresses, sender=sender):
                assert all(can_be_sent_to(address) for address in addresses), addresses
                assert is_printable(sender)
            case Reply(octets=reply, to=to):
                assert can_be_sent_to(to)
                names = [name for name, _ in Message(letter_of(reply).head, 0).fields]
                assert len(names) == len(set(names)), names
    outcome = outcome_of(decided.plan)
    assert is_printable(outcome.line)
    json.dumps(explain.as_object("m", message, decided, outcome))
    for line in explain.as_lines("m", message, decided, outcome, lambda _colour, words: words):
        assert is_printable(line), line
