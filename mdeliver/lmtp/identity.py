"""Who the processes of the server run as.

Order      limits first, groups, gid, uid last, and then a look whether it is so
Without root  nothing is changed, and only the server's own user is served
mail group    lent to workers of the system's users as saved gid alone: mailgroup.py says for what.
              A program that a worker starts does not have it.
See also   credentials(7), setrlimit(2)
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource

from mdeliver.lmtp.worker import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.lmtp.settings import Lmtp

_PR_SET_NO_NEW_PRIVS = 38
_SPARE_DESCRIPTORS = 100

_GROUPS = "/etc/group"

BELIEVED_S = 1.0
"""So long it may take until an account that was removed or changed is served accordingly."""


class NotServed(Exception):
    """There is no worker for that user here; the words say why."""


def identity_of_account(name: str, settings: Lmtp) -> Identity:
    """Whom the account NAME means; what the front says is a name and no more. Raises NotServed."""
    if settings.users == "virtual":
        entry = _passwd(settings.virtual_user)
        return _served(_identity(entry).replace(name=name, home=""), settings)
    return _served(_identity(_passwd(name)), settings)


def identity_of_uid(uid: int, settings: Lmtp) -> Identity:
    """Who asks at the launcher's door. Raises NotServed."""
    try:
        return _served(_identity(pwd.getpwuid(uid)), settings)
    except KeyError:
        raise NotServed(f"uid {uid} has no passwd entry") from None


class Callers:
    """Who asks at the launcher's door; each entry of the passwd database is believed for a moment.

    To ask for it takes as long as all else that the master does for a launcher. What is compared is
    the time, not the status of /etc/passwd: accounts may come from elsewhere (nsswitch.conf).
    """

    def __init__(self, settings: Lmtp) -> None:
        self._settings = settings
        self._known: dict[int, tuple[Identity, float]] = {}

    def find(self, uid: int, now_s: float) -> Identity:
        """Whom UID means; NOW_S is of the monotonic clock. Raises NotServed."""
        known = self._known.get(uid)
        if known is not None and now_s < known[1]:
            return known[0]
        identity = identity_of_uid(uid, self._settings)
        self._known[uid] = identity, now_s + BELIEVED_S
        return identity


def _passwd(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise NotServed(f"there is no user {name} in the passwd database") from None


def _identity(entry: pwd.struct_passwd) -> Identity:
    name, since_ns = entry.pw_name, _groups_since_ns()
    return Identity(name, entry.pw_uid, entry.pw_gid, entry.pw_dir, name, since_ns)


def _groups_since_ns() -> int:
    """When the file of groups was changed.

    Which ones a user has is asked by that user's worker alone, when it starts: a directory service
    may take its time, and the master has none.
    """
    try:
        return os.stat(_GROUPS).st_ctime_ns
    except OSError:
        return 0


def _served(identity: Identity, settings: Lmtp) -> Identity:
    own = os.geteuid()
    if own != 0 and identity.uid != own:
        raise NotServed(f"without root no mail of user {identity.login} is delivered")
    if own == 0 and (identity.uid == 0 or identity.uid < _lowest(settings)):
        raise NotServed(f"uid {identity.uid} of {identity.login} is below lmtp.first_uid")
    return identity


def _lowest(settings: Lmtp) -> int:
    return 1 if settings.users == "virtual" else settings.first_uid


def make_room(settings: Lmtp) -> None:
    """Let the master have a descriptor for each worker, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.workers + _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def become_front(settings: Lmtp) -> None:
    """Give up all that the front does not need; before it has read anything."""
    wanted = 2 * settings.sessions + settings.workers + _SPARE_DESCRIPTORS
    _limit(resource.RLIMIT_NOFILE, wanted)
    _limit(resource.RLIMIT_CORE, 0)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(settings.front_user)
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        if os.getresuid() != (entry.pw_uid,) * 3:
            raise NotServed(f"the front could not become {settings.front_user}")
    os.chdir("/")
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def become_user(identity: Identity, settings: Lmtp) -> None:
    """Become the user of IDENTITY, within the limits of a delivery."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, settings.files)
    _limit(resource.RLIMIT_AS, settings.memory_mb << 20)
    if os.geteuid() == 0:
        lent = identity.gid
        if settings.users == "system" and settings.mail_group:
            try:
                lent = grp.getgrnam(settings.mail_group).gr_gid
            except KeyError:
                raise NotServed(f"there is no group {settings.mail_group}") from None
        os.initgroups(identity.login, identity.gid)
        os.setresgid(identity.gid, identity.gid, lent)
        _limit(resource.RLIMIT_NPROC, settings.processes)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    else:
        _limit(resource.RLIMIT_NPROC, settings.processes)
    if os.getresuid() != (identity.uid,) * 3:
        raise NotServed(f"could not become uid {identity.uid}")
    os.umask(0o077)
    os.chdir("/")


def _limit(kind: int, value: int) -> None:
    """Set a limit, but never above what the process may have."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
