"""Mboxes and Maildirs: whose they are and who may read them; and the locks that programs take.

Locks       all who write one mbox have a lock in common, or it is torn. Who waits for a second lock
            while it holds the first must take them in the same order as all others, or both wait
            until one gives up. mdeliver takes dotlock and fcntl without waiting, and gives the
            first back: its order is never in the way. procmail, and Postfix where it writes mboxes
            itself, keep their dotlock while they try fcntl, in whatever order main.cf names them.
/var/mail   where users may make no files (Debian: 2775 root:mail), the mbox has to be there first
See also    deliver/mboxlock.py; postconf(5), mailbox_delivery_lock; README.md, /var/mail
"""

from __future__ import annotations

import os
import pwd
import stat

from mdeliver.audit import doveconf
from mdeliver.audit.finding import Finding
from mdeliver.postfix.ways import ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

OURS = ("dotlock", "fcntl")
"""The locks that mdeliver takes."""

_SHOWN = 5
_LOWEST_UID = 1000
_NOBODY = 65534
_MAILDIR = ("cur", "new", "tmp")


def locks_agree(host: Host) -> Iterator[Finding]:
    """Whether all who write mboxes see each other, and none waits for another for ever."""
    postfix = host.value("mailbox_delivery_lock").replace(",", " ").split()
    takers = {"Postfix (mailbox_delivery_lock)": postfix}
    pop3 = host.dovecot("pop3")
    if pop3 is not None:
        for name in ("mbox_write_locks", "mbox_read_locks"):
            takers[f"Dovecot ({name})"] = doveconf.locks(pop3, name)
    complaints = 0
    for who, locks in takers.items():
        if not set(locks) & set(OURS):
            complaints += 1
            yield Finding(
                "failure",
                f"{who} takes {', '.join(locks) or 'no lock'}, and mdeliver {', '.join(OURS)}",
                "neither sees the other: an mbox that both write is torn",
                "take fcntl, which works everywhere",
                _locks_setting(who),
            )
    everybody = [locks for locks in takers.values() if set(locks) & set(OURS)]
    common = set(OURS).intersection(*everybody) if everybody else set(OURS)
    if not common:
        complaints += 1
        said = "; ".join(f"{who}: {' '.join(locks)}" for who, locks in takers.items())
        yield Finding(
            "failure",
            f"those who write mboxes have no lock in common ({said})",
            "an mbox that two write at a time is torn",
            "have all take fcntl",
            tuple(line for who in takers for line in _locks_setting(who)),
        )
    first = _keeps_its_dotlock(host, postfix)
    for who, locks in list(takers.items())[1:]:
        if first and [lock for lock in locks if lock in OURS] == ["fcntl", "dotlock"]:
            complaints += 1
            yield Finding(
                "warning",
                f"{who} takes {' '.join(locks)}, and {first} the dotlock first",
                "each may hold what the other waits for, until one gives up minutes later",
                "have Dovecot take the dotlock first, too",
                (f"{_dovecots(who)} = dotlock fcntl",),
            )
    if not complaints:
        yield Finding("fine", f"Postfix, Dovecot and mdeliver all take {' and '.join(common)}")


def _locks_setting(who: str) -> tuple[str, ...]:
    if who.startswith("Postfix"):
        return ("postconf -e 'mailbox_delivery_lock = fcntl, dotlock'", "postfix reload")
    locks = "fcntl" if "read" in who else "fcntl dotlock"
    return (f"{_dovecots(who)} = {locks}",)


def _dovecots(who: str) -> str:
    """The setting's name."""
    return who.partition("(")[2].rstrip(")")


def _keeps_its_dotlock(host: Host, postfix: list[str]) -> str:
    """Who delivers to mboxes and keeps its dotlock while it waits for fcntl; "" for nobody."""
    if "procmail" in host.value("mailbox_command_maps") + host.value("mailbox_command"):
        return "procmail"
    writes = not any(host.value(name) for name in ORDER)
    return "Postfix" if writes and set(OURS) <= set(postfix) else ""


# --- permissions -----------------------------------------------------------------------------


def mailboxes_are_private(host: Host) -> Iterator[Finding]:
    """Whether mboxes and Maildirs are their users' own, and nobody else reads them."""
    complaints = [*_spool(host), *_maildirs()]
    yield from complaints
    if not complaints:
        yield Finding("fine", "mailboxes are their users' own")


def _spool(host: Host) -> Iterator[Finding]:
    spool = host.value("mail_spool_directory").rstrip("/") or "/var/mail"
    try:
        mode = os.stat(spool).st_mode
        entries = sorted(os.scandir(spool), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except PermissionError:
        yield Finding("advice", f"{spool} cannot be looked into", "", "run this as root")
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield Finding(
            "failure",
            f"everybody may remove and replace files in {spool}",
            "any local user can put another's mbox away, or a link in its place",
            "let nobody remove what is another's",
            (f"chmod 2775 {spool}",),
        )
    by_uid = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    faults: dict[str, list[str]] = {}
    for entry in entries:
        fault = _fault(entry, by_uid)
        if fault:
            faults.setdefault(fault, []).append(entry.path)
    for fault, paths in faults.items():
        yield _of_mboxes(fault, paths)


def _fault(entry: os.DirEntry[str], by_uid: dict[int, str]) -> str:
    """What is wrong with an mbox; "" for nothing, and for what is none."""
    if entry.name.startswith(".") or entry.name.endswith(".lock"):
        return ""
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return "link"
    if not stat.S_ISREG(found.st_mode):
        return ""
    if found.st_nlink > 1:
        return "link"
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return "mode"
    name = by_uid.get(found.st_uid, "")
    owner_is_user = name == entry.name or entry.name not in by_uid.values()
    return "" if owner_is_user else "owner"


def _of_mboxes(fault: str, paths: list[str]) -> Finding:
    shown = ", ".join(paths[:_SHOWN]) + (
        f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    )
    names = [os.path.basename(path) for path in paths[:_SHOWN]]
    match fault:
        case "mode":
            return Finding(
                "failure",
                f"everybody on this host can read {shown}",
                "mail is read by whoever has an account here",
                "let the user alone read it, and Dovecot's group",
                tuple(f"chmod 660 '{path}'" for path in paths[:_SHOWN]),
            )
        case "owner":
            return Finding(
                "failure",
                f"not the user's own: {shown}",
                "mdeliver and Dovecot refuse an mbox of somebody else: its mail waits",
                "give it to the user of its name",
                tuple(f"chown {n}:mail '{p}'" for n, p in zip(names, paths, strict=False)),
            )
        case _:
            return Finding(
                "warning",
                f"a link, not an mbox: {shown}",
                "mdeliver delivers through no link in the spool, which somebody else may have made",
                "put the mbox itself there",
                tuple(f"ls -l '{path}'" for path in paths[:_SHOWN]),
            )


def _is_whole(path: str) -> bool:
    return all(os.path.isdir(os.path.join(path, name)) for name in _MAILDIR)


def _maildirs() -> Iterator[Finding]:
    """Faults of users' Maildirs, where this user may look."""
    open_ones, foreign, broken = [], [], []
    for user in pwd.getpwall():
        if not _LOWEST_UID <= user.pw_uid < _NOBODY:
            continue
        path = os.path.join(user.pw_dir, "Maildir")
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if not stat.S_ISDIR(found.st_mode):
            continue
        if found.st_uid != user.pw_uid:
            foreign.append((user.pw_name, path))
        elif found.st_mode & stat.S_IRWXO:
            open_ones.append(path)
        elif os.access(path, os.X_OK) and not _is_whole(path):
            broken.append((user.pw_name, path))
    if open_ones:
        yield Finding(
            "warning",
            "others on this host can look into " + ", ".join(open_ones[:_SHOWN]),
            "they see how much mail there is and when it came, and what is not protected itself",
            "keep others out",
            tuple(f"chmod -R go-rwx '{path}'" for path in open_ones[:_SHOWN]),
        )
    if foreign:
        yield Finding(
            "failure",
            "not the user's own: " + ", ".join(path for _name, path in foreign[:_SHOWN]),
            "nothing can be delivered there: mail waits",
            "give them to their users",
            tuple(f"chown -R {name}: '{path}'" for name, path in foreign[:_SHOWN]),
        )
    if broken:
        yield Finding(
            "warning",
            "no whole Maildir: " + ", ".join(path for _name, path in broken[:_SHOWN]),
            "cur, new or tmp is missing; the next delivery makes it, other programs fail",
            "make what is missing",
            tuple(
                f"install -d -m 700 -o {name} '{path}'/cur '{path}'/new '{path}'/tmp"
                for name, path in broken[:_SHOWN]
            ),
        )
