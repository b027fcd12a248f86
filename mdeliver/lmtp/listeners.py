"""The sockets that the server listens on: systemd's, else its own.

UNIX       the path's directory is made if need be; a socket that nobody listens on any more is
           replaced, one with a living server is not. It belongs to `socket_user` before anybody
           else can connect. The launcher's door is open to all: the kernel says who comes.
Fails with OSError, Deferral: where, and what to do
"""

from __future__ import annotations

import os
import pwd
import socket
import stat

from mdeliver import durable
from mdeliver.lmtp.settings import parse_address
from mdeliver.lmtp.systemd import LAUNCHER, inherited_sockets
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.lmtp.settings import Lmtp

_BACKLOG = 511
_DOOR_MODE = 0o666


class Door(socket.socket):
    """Where launchers come in.

    That it knows its family and type spares `accept` the search for two members of enums: a fifth
    of all that the master does for a launcher.
    """

    family = socket.AF_UNIX
    type = socket.SOCK_STREAM


def open_listeners(settings: Lmtp) -> tuple[list[socket.socket], Door | None]:
    """Those that speak LMTP, and the launcher's door if there is one."""
    inherited = inherited_sockets()
    listeners = [one for name, one in inherited if name != LAUNCHER]
    doors = [one for name, one in inherited if name == LAUNCHER]
    if not listeners:
        listeners = [_listen(parse_address(address), settings) for address in settings.listen]
    if not listeners:
        raise Deferral("lmtp.listen names no socket, and systemd has handed over none", "4.3.5")
    if not doors and settings.launcher:
        doors = [_listen_at(settings.launcher, -1, _DOOR_MODE)]
    return listeners, Door(fileno=doors[0].detach()) if doors else None


def _listen(address: str | tuple[str, int], settings: Lmtp) -> socket.socket:
    if isinstance(address, str):
        return _listen_at(address, _uid_of(settings.socket_user), int(settings.socket_mode, 8))
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Deferral(f"cannot listen at {address[0]}:{address[1]}: {error.strerror}") from None
    return listener


def _uid_of(user: str) -> int:
    """The uid that a socket is given to; -1 where we may not give it away."""
    if os.geteuid() != 0 or not user:
        return -1
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise Deferral(f"lmtp.socket_user: there is no user {user}", "4.3.5") from None


def _listen_at(path: str, uid: int, mode: int) -> socket.socket:
    durable.make_directory(os.path.dirname(path), 0o755)
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        if uid >= 0:
            os.chown(path, uid, -1)
        os.chmod(path, mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Deferral(f"cannot listen at {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    return listener


def _remove_dead(path: str) -> None:
    """Remove the socket at PATH if nobody listens there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Deferral(f"{path} is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        try:
            asked.settimeout(1)
            asked.connect(path)
        except ConnectionRefusedError:
            durable.remove(path)
        except OSError:
            pass
        else:
            raise Deferral(f"another server listens at {path}")
