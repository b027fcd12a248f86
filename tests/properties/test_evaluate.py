"""Any head through rules that use all of it: a plan, inside the home, the same when explained."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.outcome import one_line
from mdeliver.plan import File
from mdeliver.settings import Site

RULES = """\
mailbox boxes = mbox "~/Mail/{folder}"
let who = "{from domain}"
also file to imap/{subject}/"{from name} {lower list-id}", boxes/{subject}/{to} as seen
also file to maildir "~/M/{who}/{sender}/{extension}"
if from, to name, cc domain, recipients local part is not me and any header does not exist:
    reject "{subject}"
if list-id matches "(*).(*)", "(?)(*)":
    also file to imap/Lists/{2}/{1} as flagged
elif subject matches /(?s)^(re: *)?(.*)$/ and "{2}" is not exactly "":
    also file to boxes/{2}
if header "X-Number" > 3 or not size is 1K to 2K and addressed to me: defer "{header}{1}"
if date is 2026-01-01 or weekday is friday to monday and time is not 22:00 to 7:00: keep
if automatic and not mailing list and dkim pass, none and not spf fail: also file to imap/Auto
if attachment matches "*.(*)" or attachment type is "message/rfc822":
    also file to imap/Parts
if body contains lines of "words", "x" or subject, body matches lines of "words", /^(a|$)/:
    also file to imap/Body
if sent by me: discard
""".replace("{header}{1}", "4.2.1 {subject}")
PROGRAM = compile_rules([Source("rules", RULES)], lambda _path: "a*\n@\n").program

NAMES = st.sampled_from(
    [
        "From",
        "To",
        "Cc",
        "Subject",
        "List-Id",
        "X-Number",
        "Received",
        "Resent-To",
        ">From x",
        "Bcc",
        "Content-Type",
        "Authentication-Results",
        "Auto-Submitted",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.text('./<>@"(),:;=?~ \tabA\0é\x1b', max_size=40).map(str.encode),
    st.sampled_from([b"multipart/mixed; boundary=x", b"a/b; name=x.a", b"localhost; dkim=pass"]),
    st.sampled_from([b"=?utf-8?Q?=2E=2E/=0A?=", b"<a@b>", b"../..", b"new", b"x <a.lists.org>"]),
)
HEADS = st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=8).map(
    lambda fields: b"".join(name + b": " + value + b"\n" for name, value in fields) + b"\n"
)
WORDS = st.text("./~+@ab\udcff\n", max_size=12)


def message(head: bytes, size: int) -> Message:
    return Message(head, size, octets=lambda: [head, b"a <b\n--x\n\n"])


@given(HEADS, WORDS, WORDS, st.integers(0, 3000))
def test_any_message_has_a_plan_within_the_home(
    head: bytes, sender: str, extension: str, size: int
) -> None:
    assert PROGRAM is not None
    envelope = Envelope("ann", "/home/ann", 1000, sender, "ann@x", extension=extension)
    decisions = [
        evaluate(PROGRAM, message(head, size), envelope, Site(), 0.0, explain=explain)
        for explain in (True, False)
    ]
    assert decisions[0].plan == decisions[1].plan
    assert decisions[1].trace == ()
    for file in decisions[0].plan.actions:
        assert isinstance(file, File)  # these rules file, and do nothing else
        inbox = file.path in ("/var/mail/ann", "/home/ann/Maildir")
        assert inbox or file.path.startswith(
            ("/home/ann/Mail/", "/home/ann/M/", "/home/ann/Maildir/.")
        )
        assert one_line(file.path) == file.path
        assert ".." not in file.path.split("/")
        assert all(len(name.encode()) <= 255 for name in file.path.split("/"))
    for step in decisions[0].trace:
        assert one_line(step.because) == step.because
