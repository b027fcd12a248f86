"""The launcher's door: what mdeliver-lda asks of a worker, and what it is told.

The launcher connects to the UNIX stream socket `lmtp.launcher` (/run/mdeliver/launcher). The master
accepts, asks the kernel who that is (SO_PEERCRED; nothing else is believed), and passes the
connection on to that user's worker, unread. All numbers are unsigned and little-endian.

Ready     the worker says that it is there and takes a message now: a header as that of an answer,
          with status 254. It does so when it has nothing else in hand.

Request   after that, one sendmsg(2) whose octets begin with this header, and which carries one
          descriptor (SCM_RIGHTS): the launcher's standard input

              0   4  magic "MDL2"; the digit is the version
              4   4  A  number of arguments: what follows `mdeliver deliver`
              8   4  E  number of environment entries, NAME=VALUE
             12   4  N  octets that follow the header: at most 131072

          then A + E strings, arguments first, each with a NUL behind it; N octets in all. They may
          come in as many pieces as it takes; the header may not.

Answer    0   4  magic "MDL2"
          4   1  status: 0 delivered; 75 not now; 77 rejected by a rule; 254 ready; 255 declined
          5   1  0
          6   2  L  octets of the line that follows, at most 1000
          8   L  the line "D.S.N text" without its end; empty for 0

The launcher  goes the direct path where it cannot connect (no server, or it may not), where it is
              not told 254 (but 255, nothing in time, or the end), and where no octet of the header
              could be sent: nobody has its standard input then. A descriptor that waits in a queue
              could not be taken back, and keeps Postfix writing into a pipe that nobody reads, up
              to command_time_limit, which bounces. It reads 8 + L octets and does not wait for the
              end of the connection.
              Once the header is sent, anything that is no whole answer (the connection ends,
              another magic, another status, silence beyond its own limit) means 75: the message
              may be half read. 77 counts only with a line that begins with "5.".
The worker    reads the request within REQUEST_S seconds and delivers as `mdeliver deliver` would
              in the launcher's place, environment included, within DEADLINE_S.
See also      launcher/lda.c, agent.py, unix(7)
"""

from __future__ import annotations

import os
import select
import socket
import time
from array import array
from struct import Struct

from mdeliver import durable, limits
from mdeliver.intake import make_envelope, parse_options, state_directory
from mdeliver.letter import read_letter
from mdeliver.lmtp.rounds import Brought
from mdeliver.outcome import Deferral, Outcome
from mdeliver.settings import load_site
from mdeliver.system import from_octets, to_octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.letter import Letter
    from mdeliver.settings import Site

MAGIC = b"MDL2"
REQUEST = Struct("<4sIII")
ANSWER = Struct("<4sBBH")
READY = 254
DECLINED = 255
REQUEST_BYTES = 128 << 10
LINE_BYTES = 1000
REQUEST_S = 10

# As a number: `socket` makes a member of an enum of it, each time it is asked for.
_CUT = int(socket.MSG_CTRUNC)
# Something to read may be out of band, and no reader gets that: to wait for more has no limit.
_AT_ONCE = int(socket.MSG_DONTWAIT)
_DESCRIPTORS = socket.CMSG_SPACE(4 * 4)


class Malformed(Exception):
    """A request that is none."""


class Habit:
    """What this worker's last large message leads one to expect of the next one.

    spool_lasts  whether a Maildir took the file that it was read into (letter.py)
    """

    __slots__ = ("spool_lasts",)

    def __init__(self) -> None:
        self.spool_lasts = False


class Caller:
    """A launcher at the other end of a connection, and what it brings (rounds.Task)."""

    limit_s = limits.DEADLINE_S

    def __init__(self, fd: int, site: Site, environment: Environment, habit: Habit) -> None:
        """FD is the connection; it is closed with this."""
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
        self._site = site
        self._environment = environment
        self._habit = habit
        self._request: tuple[list[str], dict[str, str], int] | None = None
        self._letter: Letter | None = None

    def greet(self) -> bool:
        """Say that its message is taken now; false, and closed, where it has gone."""
        try:
            # There is room for it: nothing was sent before, nor will be but the answer.
            self._connection.sendall(ANSWER.pack(MAGIC, READY, 0, 0), socket.MSG_DONTWAIT)
        except OSError:
            self.close()
            return False
        return True

    def hear(self) -> bool:
        """Read what it asks; false, and closed, where that is no request."""
        try:
            self._request = read_request(self._connection)
        except (Malformed, OSError):
            self.close()
            return False
        return True

    def open(self) -> Brought:
        """The message, with what the launcher has in place of what this process has."""
        assert self._request is not None
        arguments, environ, standard_input = self._request
        options = parse_options(arguments)
        # What the rules' programs get, and where XDG directories are looked for.
        self._environment.become(environ)
        envelope = make_envelope(options, environ)
        site = load_site(options.settings) if options.settings else self._site
        state = state_directory(envelope, environ)
        durable.make_directory(state)
        lasts = self._habit.spool_lasts
        letter = self._letter = read_letter(standard_input, state, lasts=lasts)
        if letter.size == 0 and not letter.from_line:
            raise Deferral("standard input was empty: no message came")
        return Brought(letter, envelope, site, state, environ, options.rules)

    def is_wanted(self) -> bool:
        """Its message may be half read: there is no way back."""
        return True

    def answer(self, outcome: Outcome) -> None:
        """Tell the launcher."""
        try:
            self._connection.sendall(pack_answer(outcome), socket.MSG_DONTWAIT)
        except OSError:
            pass  # whoever killed the launcher has deferred the message; the journal knows it

    def close(self) -> None:
        """Let go of the connection, and of all that came over it."""
        self._connection.close()
        if self._letter is not None:
            if self._letter.memory is None:
                self._habit.spool_lasts = self._letter.is_kept
            self._letter.close()
        if self._request is not None:
            durable.close_read(self._request[2])


def decline(connection: socket.socket) -> None:
    """Tell a launcher to go the direct path; closes the connection."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(ANSWER.pack(MAGIC, DECLINED, 0, 0))
        except OSError:
            pass  # it goes away, or finds the connection closed


def read_request(connection: socket.socket) -> tuple[list[str], dict[str, str], int]:
    """Arguments, environment, and the descriptor of standard input, within REQUEST_S seconds.

    Raises Malformed or OSError; no descriptor is left open then.
    """
    until_s = time.monotonic() + REQUEST_S
    _wait_for(connection, until_s)
    octets, ancillary, flags, _ = connection.recvmsg(REQUEST_BYTES, _DESCRIPTORS, _AT_ONCE)
    fds = array("i")
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    try:
        if len(fds) != 1 or flags & _CUT:
            raise Malformed
        arguments, environ = _read_strings(connection, octets, until_s)
    except BaseException:
        for fd in fds:
            durable.close_read(fd)
        raise
    return arguments, environ, fds[0]


def _read_strings(
    connection: socket.socket, octets: bytes, until_s: float
) -> tuple[list[str], dict[str, str]]:
    if len(octets) < REQUEST.size:
        raise Malformed
    magic, arguments, entries, count = REQUEST.unpack_from(octets)
    if magic != MAGIC or count > REQUEST_BYTES:
        raise Malformed
    strings = octets[REQUEST.size :]
    while len(strings) < count:
        # However slowly they drip in.
        _wait_for(connection, until_s)
        piece = connection.recv(count - len(strings), _AT_ONCE)
        if not piece:
            raise Malformed
        strings += piece
    words = from_octets(strings).split("\0")
    if len(strings) != count or words.pop() or len(words) != arguments + entries:
        raise Malformed
    environ = dict([word.partition("=")[::2] for word in words[arguments:]])
    return words[:arguments], environ


def _wait_for(connection: socket.socket, until_s: float) -> None:
    """Return once there is something to read; raises TimeoutError where nothing comes in time."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(max(0, until_s - time.monotonic()) * 1000):
        raise TimeoutError


def pack_answer(outcome: Outcome) -> bytes:
    """OUTCOME as an answer."""
    status = outcome.exit_status
    line = to_octets(outcome.line)[:LINE_BYTES] if status else b""
    return ANSWER.pack(MAGIC, status, 0, len(line)) + line


class Environment:
    """The environment of this process, which programs of rules inherit.

    It is compared as a whole: to change each entry, and back, costs a third of a delivery.
    """

    def __init__(self) -> None:
        self.own = dict(os.environ)
        """As it was in the beginning."""
        self._now = self.own

    def become(self, wanted: dict[str, str]) -> None:
        """Have the entries WANTED, and no others."""
        now = self._now
        if wanted is now or wanted == now:
            return
        for name in now.keys() - wanted.keys():
            os.environ.pop(name, None)
        for name, value in wanted.items():
            if name and now.get(name) != value:
                os.environ[name] = value
        self._now = wanted
