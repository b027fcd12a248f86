"""Ask the passwd database for a user; that there is none is never said by mistake.

Why         getpwnam(3) of Python says "not found" too where the database could not be asked: no
            descriptor is left, there is no memory, a directory service is away. Mail for everybody
            would bounce then.
Told apart  by the error of getpwnam_r(3), and by whether /etc/passwd can be opened: an error of one
            service is hidden where the next one in nsswitch.conf says that it knows no such user.
Cost        of the second look, for users that do not exist: some microseconds
Fails with  Deferral
See also    nsswitch.conf(5)
"""

from __future__ import annotations

import ctypes
import os
import pwd

from mdeliver import durable
from mdeliver.outcome import Deferral

PASSWD = "/etc/passwd"

_ENTRY_BYTES = 64 << 10
_STRUCT_BYTES = 256
"""More than struct passwd takes anywhere."""


def login_of(name: str) -> pwd.struct_passwd | None:
    """The entry of the user NAME; None where there is none. Raises Deferral where nobody knows."""
    try:
        return pwd.getpwnam(name)
    except ValueError:
        return None
    except KeyError:
        trouble = _trouble_with(name)
    if trouble:
        raise Deferral(f"the passwd database cannot be asked: {os.strerror(trouble)}", "4.3.0")
    return None


def _trouble_with(name: str) -> int:
    """The errno for which NAME was not found; 0 where there is no such user."""
    entry = ctypes.create_string_buffer(_STRUCT_BYTES)
    strings = ctypes.create_string_buffer(_ENTRY_BYTES)
    found = ctypes.c_void_p()
    getpwnam_r = ctypes.CDLL(None).getpwnam_r
    size = ctypes.c_size_t(_ENTRY_BYTES)
    number: int = getpwnam_r(os.fsencode(name), entry, strings, size, ctypes.byref(found))
    if number:
        return number
    try:
        durable.read_file(PASSWD, 1)
    except OSError as error:
        return error.errno or 0
    return 0
