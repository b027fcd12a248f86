"""The LMTP server as a state machine: octets in, events and replies out; no sockets, no clock.

    engine.receive(octets)              what came from the client
    while event := engine.next_event()  what is to be done
    engine.take_output()                what goes to the client

Everything that affects the state of a session is in this file. States:

    COMMAND    the next command is read                      anything but the others' below
    ASKED      RCPT waits for `allow` or `refuse`            nothing is read
    CONTENT    after DATA, until CR LF . CR LF               content alone
    CHUNK      within a BDAT chunk                           content alone
    SETTLING   a message is over; its recipients wait for    nothing is read
               `settle`, one reply each, in their order
    TLS        STARTTLS was answered                         nothing, until `tls_started`
    OVER       the last reply is written                     nothing any more

Guarantee   however the input is split, events and replies are the same. What comes behind a command
            that must be the last of its group (STARTTLS) is never taken for protected input.
            A reply is written as soon as it is known and those before it are.
Limits      all in limits.py, LMTP_...; who exceeds one is told so, and the session goes on or ends.
See also    RFC 2033; commands.py, content.py
"""

from __future__ import annotations

from functools import lru_cache

from mdeliver import limits
from mdeliver.lmtp.commands import (
    Refusal,
    parse_bdat,
    parse_mail,
    parse_rcpt,
    parse_xforward,
    split_command,
)
from mdeliver.lmtp.content import ChunkReader, DotReader, Gauge
from mdeliver.lmtp.events import (
    Asked,
    Content,
    Dropped,
    Ended,
    Offers,
    Over,
    State,
    TlsWanted,
)
from mdeliver.outcome import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.lmtp.commands import Mail, Rcpt
    from mdeliver.lmtp.events import Event

_CONTENT = (State.CONTENT, State.CHUNK)


class Engine:
    """One session."""

    def __init__(self, offers: Offers) -> None:
        self.state = State.COMMAND
        self.encrypted = False
        self._offers = offers
        self._input = bytearray()
        self._output = bytearray()
        self._events: list[Event] = []
        self._greeted = self._skipping = False
        self._errors = self._commands = 0
        self._reset()
        self._reply(f"220 {offers.hostname} LMTP mdeliver is ready")

    def _reset(self) -> None:
        """Forget the transaction."""
        self._mail: Mail | None = None
        self._asked: Rcpt | None = None
        self._recipients: list[Rcpt] = []
        self._forwarded: dict[str, str] = {}
        self._reader: DotReader | ChunkReader | None = None
        self._gauge: Gauge | None = None
        self._refused = ""
        self._last_chunk = False
        self._replies: list[str | None] = []
        self._written = 0

    # --- for the host ------------------------------------------------------------------------

    def receive(self, octets: bytes) -> None:
        """Take OCTETS from the client."""
        self._input += octets

    def take_output(self) -> bytes:
        """What is to be written to the client, taken away from here."""
        output = bytes(self._output)
        self._output.clear()
        return output

    @property
    def wants_input(self) -> bool:
        """Whether more octets would be of use now."""
        return self.state is State.COMMAND or self.state in _CONTENT

    @property
    def receiving(self) -> bool:
        """Whether a message has begun to come and has not ended; BDAT has commands in between."""
        return self._reader is not None and self.wants_input

    @property
    def between_messages(self) -> bool:
        """Whether nobody would miss anything if the session ended now."""
        return self.state is State.COMMAND and self._mail is None

    @property
    def accepted(self) -> int:
        """How many recipients the message that is coming has so far."""
        return len(self._recipients)

    def next_event(self) -> Event | None:
        """The next thing to do; None when more input, or an answer, is needed first."""
        while not self._events:
            if self.state is State.COMMAND:
                line = self._take_line()
                if line is None:
                    break
                self._command(line)
            elif self.state not in _CONTENT or not self._take_content():
                break
        return self._events.pop(0) if self._events else None

    def allow(self) -> None:
        """The recipient that was asked about is accepted."""
        assert self._asked is not None
        self._recipients.append(self._asked)
        self._asked, self.state = None, State.COMMAND
        self._reply("250 2.1.5 recipient ok")

    def refuse(self, reply: str) -> None:
        """The recipient that was asked about is refused with REPLY."""
        self._asked, self.state = None, State.COMMAND
        self._reply(reply)

    def settle(self, place: int, reply: str) -> None:
        """REPLY is what became of the message for the recipient at PLACE."""
        assert self.state is State.SETTLING
        self._replies[place] = reply
        while self._written < len(self._replies):
            known = self._replies[self._written]
            if known is None:
                return
            self._reply(known)
            self._written += 1
        self._reset()
        self.state = State.COMMAND

    def drop_message(self, reply: str) -> None:
        """Every recipient of the message that is coming gets REPLY; its content is of no use."""
        if self._refused:
            return
        self._refused = reply
        self._events = [Dropped()]
        if self.state is State.SETTLING:
            # Its end came with the piece that there is no room for: nobody has been told of it.
            self._settle_all(reply)

    def tls_started(self) -> None:
        """TLS is on: all that was said before counts no more (RFC 3207, 4.2)."""
        self._reset()
        self.state, self.encrypted, self._greeted = State.COMMAND, True, False

    def end(self, reply: str) -> None:
        """Say REPLY, a 421, and end the session: the server stops, or the client is too slow."""
        if self.state is not State.OVER:
            self._over(reply)

    # --- reading -----------------------------------------------------------------------------

    def _take_line(self) -> bytes | None:
        """The next command line without its CR LF; None where it is not whole."""
        while (end := self._input.find(b"\r\n")) >= 0:
            line = bytes(self._input[:end])
            del self._input[: end + 2]
            if not self._skipping and end <= limits.LMTP_COMMAND_BYTES:
                return line
            self._skipping = False
            self._refuse(f"500 5.5.2 line is longer than {limits.LMTP_COMMAND_BYTES} octets")
            if self.state is not State.COMMAND:
                return None
        if len(self._input) > limits.LMTP_COMMAND_BYTES:
            # A CR at the end may be the first half of the line's end.
            keep = 1 if self._input.endswith(b"\r") else 0
            del self._input[: len(self._input) - keep]
            self._skipping = True
        return None

    def _take_content(self) -> bool:
        """Take what there is of the message, or of the chunk; whether it has ended."""
        assert self._reader is not None
        octets, over = self._reader.take(self._input)
        if octets and not self._refused:
            assert self._gauge is not None
            complaint = self._gauge.measure(octets)
            if complaint:
                self.drop_message(complaint)
            else:
                self._events.append(Content(octets))
        if over:
            self._content_over()
        return over

    def _content_over(self) -> None:
        """A message, or a chunk of it, has been read to its end."""
        if self.state is State.CHUNK and not self._last_chunk:
            self.state = State.COMMAND
            self._reply(self._refused or "250 2.0.0 chunk received")
            if not self._recipients:
                self._reset()
            return
        if not self._recipients:
            self.state = State.COMMAND
            self._refuse(self._refused)
            self._reset()
            return
        assert self._mail is not None
        self.state = State.SETTLING
        self._commands = 0
        self._replies = [None] * len(self._recipients)
        if self._refused:
            self._settle_all(self._refused)
        else:
            self._events.append(Ended(self._mail, tuple(self._recipients), self._forwarded))

    def _settle_all(self, reply: str) -> None:
        for place in range(len(self._replies)):
            self.settle(place, reply)

    # --- commands ----------------------------------------------------------------------------

    def _command(self, line: bytes) -> None:
        self._commands += 1
        if self._commands > limits.LMTP_COMMANDS:
            self._over("421 4.7.0 too many commands without a message")
            return
        try:
            verb, rest = split_command(line)
            handle = _COMMANDS.get(verb)
            if handle is None:
                raise Refusal("500 5.5.1 no such command; HELP names those there are")
            handle(self, rest)
        except Refusal as refusal:
            self._refuse(refusal.reply)

    def _lhlo(self, rest: bytes) -> None:
        if not rest:
            raise Refusal("501 5.5.4 say LHLO your.name")
        self._drop()
        self._greeted = True
        *lines, last = self._offers.lines(encrypted=self.encrypted)
        self._output += b"".join([f"250-{words}\r\n".encode() for words in lines])
        self._reply(f"250 {last}")

    def _smtp_greeting(self, _rest: bytes) -> None:
        raise Refusal("500 5.5.1 this is LMTP: say LHLO")

    def _mail_from(self, rest: bytes) -> None:
        if not self._greeted:
            raise Refusal("503 5.5.1 say LHLO first")
        if self._mail is not None:
            raise Refusal("503 5.5.1 the sender is given already; RSET begins afresh")
        self._mail = parse_mail(rest, self._offers.size)
        self._reply("250 2.1.0 sender ok")

    def _rcpt_to(self, rest: bytes) -> None:
        if self._mail is None or self._reader is not None:
            raise Refusal("503 5.5.1 RCPT comes after MAIL and before the message")
        if len(self._recipients) >= self._offers.recipients:
            raise Refusal(f"452 4.5.3 more than {self._offers.recipients} recipients")
        self._asked = parse_rcpt(rest, self._mail.smtputf8)
        self.state = State.ASKED
        self._events.append(Asked(self._mail, self._asked))

    def _data(self, rest: bytes) -> None:
        if rest:
            raise Refusal("501 5.5.4 DATA stands alone")
        if self._reader is not None:
            raise Refusal("503 5.5.1 the message began with BDAT")
        if not self._recipients:
            raise Refusal("503 5.5.1 no recipient was accepted")
        self._begin(DotReader(), State.CONTENT)
        self._reply("354 send the message; it ends with CR LF . CR LF")

    def _bdat(self, rest: bytes) -> None:
        try:
            count, self._last_chunk = parse_bdat(rest)
        except Refusal as refusal:
            # Where this chunk ends, and the next command begins, nobody can know.
            self._over(f"421 4.5.0 {refusal.reply[10:]}")
            return
        if not isinstance(self._reader, ChunkReader):
            self._begin(ChunkReader(), State.CHUNK)
        if not self._recipients:
            self._refused = "503 5.5.1 no recipient was accepted"
        assert isinstance(self._reader, ChunkReader)
        self._reader.begin(count, self._last_chunk)
        self.state = State.CHUNK

    def _begin(self, reader: DotReader | ChunkReader, state: State) -> None:
        self._reader, self.state = reader, state
        self._gauge = Gauge(self._offers.size, limits.LMTP_HEAD_BYTES, limits.LMTP_LINE_BYTES)

    def _xforward(self, rest: bytes) -> None:
        if not self._offers.xforward:
            raise Refusal("550 5.7.0 this client may not say where mail came from")
        if self._mail is not None:
            raise Refusal("503 5.5.1 XFORWARD comes before MAIL")
        self._forwarded |= parse_xforward(rest)
        self._reply("250 2.0.0 ok")

    def _starttls(self, rest: bytes) -> None:
        if rest:
            raise Refusal("501 5.5.4 STARTTLS stands alone")
        if not self._offers.starttls:
            raise Refusal("502 5.5.1 there is no TLS here")
        if self.encrypted:
            raise Refusal("503 5.5.1 TLS is on already")
        if self._input:
            # Injected before TLS, and read as if it had come through it (CVE-2011-0411).
            self._over("421 4.7.0 nothing may follow STARTTLS before its answer")
            return
        self._drop()
        self._reply("220 2.0.0 ready for TLS")
        self.state = State.TLS
        self._events.append(TlsWanted())

    def _rset(self, rest: bytes) -> None:
        if rest:
            raise Refusal("501 5.5.4 RSET stands alone")
        self._drop()
        self._reply("250 2.0.0 ok")

    def _noop(self, _rest: bytes) -> None:
        self._reply("250 2.0.0 ok")

    def _vrfy(self, _rest: bytes) -> None:
        self._reply("252 2.5.2 RCPT says whether a recipient is known")

    def _help(self, _rest: bytes) -> None:
        self._reply("214 2.0.0 LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT; mdeliver(1)")

    def _quit(self, _rest: bytes) -> None:
        self._over("221 2.0.0 bye")

    # --- replies -----------------------------------------------------------------------------

    def _drop(self) -> None:
        """Give up the transaction, and what has come of its message."""
        if self._reader is not None and not self._refused:
            self._events.append(Dropped())
        self._reset()

    def _over(self, reply: str) -> None:
        self._drop()
        self._reply(reply)
        self.state = State.OVER
        self._events.append(Over())

    def _refuse(self, reply: str) -> None:
        """Refuse a command; who makes too many mistakes is sent away."""
        self._reply(reply)
        self._errors += reply.startswith(("50", "555"))
        if self._errors > limits.LMTP_ERRORS:
            self._over("421 4.7.0 too many errors")

    def _reply(self, reply: str) -> None:
        self._output += _line(reply)


@lru_cache(100)
def _line(reply: str) -> bytes:
    """One line, whatever is in REPLY; the same few are said for each message."""
    line = one_line(reply).encode("ascii", "backslashreplace")
    return line[: limits.LMTP_REPLY_BYTES] + b"\r\n"


_COMMANDS = {
    b"LHLO": Engine._lhlo,
    b"HELO": Engine._smtp_greeting,
    b"EHLO": Engine._smtp_greeting,
    b"MAIL": Engine._mail_from,
    b"RCPT": Engine._rcpt_to,
    b"DATA": Engine._data,
    b"BDAT": Engine._bdat,
    b"XFORWARD": Engine._xforward,
    b"STARTTLS": Engine._starttls,
    b"RSET": Engine._rset,
    b"NOOP": Engine._noop,
    b"VRFY": Engine._vrfy,
    b"HELP": Engine._help,
    b"QUIT": Engine._quit,
}
