"""Find and read rules files, and refuse those that somebody else could have written.

Trusts      a regular file that root or the user owns and that neither group nor others can
            write. Links are followed, since people keep their dotfiles in a repository; what is
            looked at is the file that was opened, so nothing can change in between.
Fails with  Untrusted (a Deferral) or OSError, each with one line that says what is wrong, where
            and how to mend it.
See also    language/compile.py, which asks for includes
"""

from __future__ import annotations

import errno

from mdeliver import limits, system
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SITE_RULES = "/etc/mdeliver/rules"


class Untrusted(Deferral):
    """A rules file that must not be followed; the text is one line for the administrator."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "4.3.5")


def rules_paths(home: str, override: str | None) -> list[str]:
    """The rules files of the user whose home is HOME, the site's first; only those that exist.

    override  `--rules FILE`, which replaces both and is returned whether it exists or not
    """
    if override is not None:
        return [override]
    return [path for path in usual_paths(home) if is_there(path)]


def usual_paths(home: str) -> tuple[str, str]:
    """Where the rules files of the user whose home is HOME would be, the site's first."""
    return SITE_RULES, f"{users_directory(home)}/rules"


def users_directory(home: str) -> str:
    """Where the user whose home is HOME keeps rules and choices."""
    config = system.environment().get("XDG_CONFIG_HOME", "")
    if not config.startswith("/"):
        # The XDG base directory specification: relative paths are invalid and ignored.
        config = f"{home}/.config"
    return f"{config}/mdeliver"


def cases_beside(rules: Sequence[str]) -> list[str]:
    """The files of cases beside the rules files RULES: rules.cases, spam.cases for spam.rules."""
    return [path for path in map(cases_path, rules) if is_there(path)]


def cases_path(rules: str) -> str:
    """Where the cases of the rules file RULES would be."""
    return rules.removesuffix(".rules") + ".cases"


def is_there(path: str) -> bool:
    """Whether there is a file; one that cannot be looked at counts, so that it is reported."""
    try:
        # A link that leads nowhere is a mistake to report, not a file that is not there.
        system.lstat(path)
    except OSError as error:
        return error.errno not in (errno.ENOTDIR, errno.ENOENT)
    return True


def read_rules(path: str, uid: int, seen: dict[str, system.stat_result] | None = None) -> str:
    """The text of the rules file PATH for the user UID. Raises Untrusted or OSError.

    seen  gets the file's status before it was read, by its path
    """
    # O_NONBLOCK: a FIFO in its place must not make us wait for ever.
    descriptor = system.open(
        path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK | system.O_NOCTTY
    )
    try:
        status = system.fstat(descriptor)
        if seen is not None:
            seen[path] = status
        _refuse_untrusted(path, status, uid)
        chunks = []
        size = 0
        while chunk := system.read(descriptor, limits.RULES_BYTES + 1 - size):
            chunks.append(chunk)
            size += len(chunk)
            if size > limits.RULES_BYTES:
                raise Untrusted(f"{path} is larger than {limits.RULES_BYTES >> 20} MB")
    finally:
        system.close(descriptor)
    octets = b"".join(chunks)
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line} is not UTF-8: convert the file, for example with iconv(1)"
        raise Untrusted(message) from None


def _refuse_untrusted(path: str, status: system.stat_result, uid: int) -> None:
    if not system.is_regular(status):
        raise Untrusted(f"{path} is not a regular file")
    if status.st_uid not in (0, uid):
        owner = f"user id {status.st_uid}, not by root or user id {uid}"
        raise Untrusted(f"{path} is owned by {owner}: chown it")
    if status.st_mode & 0o022:
        raise Untrusted(f"{path} can be written by others: chmod go-w it")


def reader(
    home: str, uid: int, seen: dict[str, system.stat_result] | None = None
) -> Callable[[str], str]:
    """How compile_rules reads included files: `~/` is HOME; trusted as rules files are."""

    def read_file(path: str) -> str:
        return read_rules(home + path[1:] if path.startswith("~/") else path, uid, seen)

    return read_file
