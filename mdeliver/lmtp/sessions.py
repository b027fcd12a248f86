"""One client's session: the engine, its connection, and the jobs that it waits for.

Asks      the accounts whether a recipient exists, the crew to deliver
Time      `command_s` for a command, `message_s` for a whole message, however slowly they drip in;
          more for a large one; who waits for our own answer is not timed
See also  protocol.py, front.py
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from mdeliver.lmtp import frames
from mdeliver.lmtp.crew import Errand, slow_reply
from mdeliver.lmtp.events import Asked, Content, Dropped, Ended, Offers, Over, State, TlsWanted
from mdeliver.lmtp.jobs import Job, pack_job
from mdeliver.lmtp.parcel import Parcel
from mdeliver.lmtp.protocol import Engine
from mdeliver.lmtp.wire import Plain, Tls
from mdeliver.outcome import Deferral, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from mdeliver.lmtp.accounts import Account
    from mdeliver.lmtp.commands import Rcpt
    from mdeliver.lmtp.crew import Crew
    from mdeliver.lmtp.parcel import Room
    from mdeliver.lmtp.settings import Lmtp

    class Accounts(Protocol):
        """Who has a mailbox here."""

        def find(self, address: str, now_s: float) -> Account | None: ...

    class House(Protocol):
        """What all sessions share."""

        settings: Lmtp
        accounts: Accounts
        crew: Crew
        room: Room
        tls: ssl.SSLContext | None
        now_s: float

        def report(self, words: str) -> None: ...
        def watch(self, session: Session) -> None: ...
        def forget(self, session: Session) -> None: ...


SLOWEST = 16 << 10
"""Octets in a second: each that comes gives a message as long, so that a slow line carries it."""

NO_ROOM = "452 4.3.1 too many messages are being received at once; try again"
MISTAKE = b"421 4.3.0 mdeliver has made a mistake, which its log tells; try again\r\n"
FINISHING = "421 4.3.2 the server is stopping or reading its settings; come again"


class Session:
    """One client, from its connection to its end."""

    def __init__(self, house: House, sock: socket.socket, offers: Offers) -> None:
        self.wire: Plain | Tls = Plain(sock)
        self.fd = sock.fileno()
        self.engine = Engine(offers)
        self.outgoing = b""
        self.last_s = house.now_s
        self._began_s = 0.0
        self._house = house
        self._parcel: Parcel | None = None
        self._places: list[Account] = []
        self._over = False
        self._gone = False
        self._finish_s: float | None = None

    # --- what the connection does ------------------------------------------------------------

    def readable(self) -> None:
        """There may be something to read."""
        try:
            octets = self.wire.read()
        except OSError:
            octets = b""
        if octets is None:
            return
        if not octets:
            self._hang_up()
            return
        if self.engine.state is not State.COMMAND or b"\n" in octets:
            # A piece of a command is no sign of life: they could drip in for days.
            self.last_s = self._house.now_s
        self.engine.receive(octets)
        self.go_on()

    def go_on(self, first: Callable[[], None] | None = None) -> None:
        """Do FIRST, and what the engine says until it waits; then send what it wrote.

        A mistake of ours ends this session and no other one: the MTA comes again.
        """
        try:
            if first is not None:
                first()
            self._go_on()
        except Exception as error:
            self._house.report(f"a session is ended: {type(error).__name__}: {error}")
            with suppress(OSError):
                # What was said before holds: it may be that a message is delivered.
                self.wire.write(self.outgoing + self.engine.take_output() + MISTAKE)
            self._hang_up()

    def _go_on(self) -> None:
        while not self._gone and (event := self.engine.next_event()) is not None:
            match event:
                case Asked():
                    self._asked(event)
                case Content():
                    self._content(event.octets)
                case Ended():
                    self._ended(event)
                case Dropped():
                    self._drop_parcel()
                case TlsWanted():
                    self._start_tls()
                case Over():
                    self._over = True
        if self._finish_s is not None and self.engine.between_messages and not self._over:
            self.engine.end(FINISHING)
            self._over = True
        self.flush()

    def flush(self) -> None:
        """Send what there is to be sent; hang up when that was the last of it."""
        if self._gone:
            return
        outgoing = self.outgoing + self.engine.take_output()
        if outgoing:
            try:
                outgoing = outgoing[self.wire.write(outgoing) :]
            except OSError:
                self._hang_up()
                return
        self.outgoing = outgoing
        if self._over and not outgoing:
            self._hang_up()
        else:
            self._house.watch(self)

    def _hang_up(self) -> None:
        if not self._gone:
            self._gone = True
            self._drop_parcel()
            self._house.forget(self)
            self.wire.close()

    def _start_tls(self) -> None:
        context = self._house.tls
        self.flush()
        if context is None or self.outgoing or self._gone or not isinstance(self.wire, Plain):
            self._hang_up()  # a client that does not take one line is none
            return
        self.engine.tls_started()
        try:
            self._house.forget(self)
            self.wire = Tls(self.wire, context)
            self._house.watch(self)
        except OSError:
            self._hang_up()

    # --- time --------------------------------------------------------------------------------

    def look_at_the_clock(self) -> None:
        """End the session if the client lets us wait for too long."""
        settings, now_s = self._house.settings, self._house.now_s
        engine = self.engine
        silent = now_s - self.last_s > settings.command_s
        if self.outgoing and silent:
            self._hang_up()
        elif engine.receiving and now_s - self._began_s > (limit_s := self._message_s()):
            self.end(f"421 4.4.2 the message did not come within {limit_s} s")
        elif engine.wants_input and silent:
            what = "no more of the message" if engine.receiving else "no command"
            self.end(f"421 4.4.2 {what} came within {settings.command_s} s")
        elif self._finish_s is None or not engine.wants_input or engine.receiving:
            pass
        elif now_s - self._finish_s > settings.message_s:
            self.end(FINISHING)

    def _message_s(self) -> int:
        """How long the message that is coming may take."""
        came = self._parcel.size if self._parcel is not None else 0
        return self._house.settings.message_s + came // SLOWEST

    def end(self, reply: str) -> None:
        """Say REPLY and hang up."""
        self.go_on(partial(self.engine.end, reply))

    def finish(self) -> None:
        """End as soon as no message is under way, or none has come in its time."""
        self._finish_s = self._house.now_s
        self.go_on()

    # --- what the engine says ----------------------------------------------------------------

    def _asked(self, event: Asked) -> None:
        house = self._house
        if not self.engine.accepted:
            self._places.clear()
            self._began_s = house.now_s
        try:
            account = house.accounts.find(event.rcpt.recipient, house.now_s)
        except Deferral as trouble:
            self.engine.refuse(f"451 {trouble.status} {trouble.text}")
            return
        if account is None:
            self.engine.refuse(f"550 5.1.1 {event.rcpt.recipient}: there is no such user here")
            return
        silent_s = house.crew.is_slow(account.name, house.now_s)
        if silent_s:
            self.engine.refuse(slow_reply(account.name, silent_s))
        elif house.settings.over_quota == "accept":
            self._allow(account)
        else:
            number = house.crew.next_number()
            home, size = account.home.encode("utf-8", "surrogateescape"), event.mail.size
            packet = frames.pack(frames.ROOM, b"%d" % number, home, b"%d" % size)
            answer = partial(self._told_of_room, account)
            house.crew.send(account.name, Errand(number, packet, None, answer), house.now_s)

    def _told_of_room(self, account: Account, reply: str) -> None:
        if self._gone or self.engine.state is not State.ASKED:
            return
        self.go_on(partial(self.engine.refuse, reply) if reply else partial(self._allow, account))

    def _allow(self, account: Account) -> None:
        self._places.append(account)
        self.engine.allow()

    def _content(self, octets: bytes) -> None:
        if self._parcel is None:
            self._parcel = Parcel(self._house.room)
        try:
            if not self._parcel.add(octets):
                self.engine.drop_message(NO_ROOM)
        except OSError as error:
            self.engine.drop_message(f"452 4.3.1 no memory for the message: {error.strerror}")

    def _drop_parcel(self) -> None:
        if self._parcel is not None:
            self._parcel.let_go()
            self._parcel = None

    def _ended(self, event: Ended) -> None:
        # Out of our hands first: an answer may come at once, and bring on the next message.
        parcel, self._parcel = self._parcel or Parcel(self._house.room), None
        accounts, self._places = self._places, []
        digest, octets = parcel.close_up()
        crew, now_s = self._house.crew, self._house.now_s
        try:
            for place, (account, rcpt) in enumerate(zip(accounts, event.recipients, strict=True)):
                number = crew.next_number()
                job = _job(number, account, event, rcpt, digest, parcel.size, octets)
                errand = Errand(number, pack_job(job), parcel, partial(self._settle, place))
                crew.send(account.name, errand, now_s)
        finally:
            parcel.let_go()

    def _settle(self, place: int, reply: str) -> None:
        if not self._gone:
            self.last_s = self._house.now_s
            self.go_on(partial(self.engine.settle, place, reply))


def _job(
    number: int,
    account: Account,
    event: Ended,
    rcpt: Rcpt,
    digest: bytes,
    size: int,
    octets: bytes,
) -> Job:
    client: Mapping[str, str] = event.forwarded
    address = client.get("ADDR", "")
    return Job(
        number=number,
        home=account.home,
        sender=event.mail.sender,
        recipient=rcpt.recipient,
        original=rcpt.original,
        extension=account.extension,
        queue_id=client.get("IDENT", ""),
        client_address=address[5:] if address[:5].upper() == "IPV6:" else address,
        client_hostname=one_line(client.get("NAME", "")),
        client_helo=client.get("HELO", ""),
        client_protocol=client.get("PROTO", ""),
        digest=digest,
        size=size,
        octets=octets,
    )
