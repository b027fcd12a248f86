"""Who a delivery is for: options and Postfix's environment become an Envelope and an identity.

Believes    options before the environment, and `HOME` before the passwd entry: a mail home need
            not be a login home.
Identity    local(8) has already become the recipient. Run by root, we become the owner of the home
            directory, or the user if root owns it, so that nothing we make there can belong to
            anybody else.
Fails with  Deferral: unknown user, no home directory, an option that does not exist.
See also    local(8), EXTERNAL COMMAND DELIVERY; mdeliver(1)
"""

from __future__ import annotations

from mdeliver import system
from mdeliver.envelope import Envelope
from mdeliver.outcome import Deferral
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Options(Record):
    """The options that `deliver`, `test` and `apply` share; None where not given."""

    rules: str | None = None
    settings: str | None = None
    server: str | None = None
    user: str | None = None
    home: str | None = None
    sender: str | None = None
    recipient: str | None = None
    extension: str | None = None


OPTIONS = (
    ("rules", "FILE", "rules to go by, in place of the site's and the user's"),
    ("settings", "FILE", "settings of the site, in place of /etc/mdeliver/mdeliver.toml"),
    ("server", "SOCKET", "the door of mdeliver lmtp that mdeliver-lda asks; must come first"),
    ("user", "NAME", "login name of the recipient"),
    ("home", "DIRECTORY", "home directory of the recipient"),
    ("sender", "ADDRESS", 'envelope sender; "" is the null sender'),
    ("recipient", "ADDRESS", "envelope recipient"),
    ("extension", "TEXT", "what follows the recipient delimiter"),
)
"""Name, value and meaning of each; the command line and the manual page are held against this."""


def parse_options(arguments: Sequence[str]) -> Options:
    """Options of `mdeliver deliver`: `--name VALUE` or `--name=VALUE`.

    By hand, since click costs three times the interpreter's start. Raises Deferral: a typing error
    in main.cf must not bounce mail.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in Options._fields:
            raise Deferral(f"mdeliver deliver knows no option {word!r}; see mdeliver(1)", "4.3.5")
        if not equals:
            if not rest:
                raise Deferral(f"mdeliver deliver: {word} needs a value", "4.3.5")
            value = rest.pop(0)
        given[name] = value
    return Options(**given)


def make_envelope(options: Options, environ: Mapping[str, str]) -> Envelope:
    """The envelope of this delivery. Raises Deferral where user or home cannot be known."""
    user = options.user or environ.get("USER") or environ.get("LOGNAME") or _own_name()
    home = options.home or environ.get("HOME") or _home_of(user)
    if not home.startswith("/"):
        raise Deferral(f"home directory {home!r} of user {user} is not an absolute path")
    if not system.is_directory(home):
        raise Deferral(f"home directory {home} of user {user} does not exist")
    uid = system.geteuid() or system.stat(home).st_uid or _uid_of(user)
    recipient = options.recipient if options.recipient is not None else environ.get("RECIPIENT", "")
    domain = environ.get("DOMAIN") or recipient.rpartition("@")[2] if "@" in recipient else ""
    extension = options.extension
    return Envelope(
        user=user,
        home=home,
        uid=uid,
        sender=options.sender if options.sender is not None else environ.get("SENDER", ""),
        recipient=recipient or user,
        original_recipient=environ.get("ORIGINAL_RECIPIENT", "") or recipient,
        extension=extension if extension is not None else environ.get("EXTENSION", ""),
        domain=domain.lower(),
        sasl_username=environ.get("SASL_USERNAME", ""),
        sasl_method=environ.get("SASL_METHOD", ""),
        client_address=environ.get("CLIENT_ADDRESS", ""),
        client_hostname=environ.get("CLIENT_HOSTNAME", ""),
        client_helo=environ.get("CLIENT_HELO", ""),
        client_protocol=environ.get("CLIENT_PROTOCOL", ""),
    )


def _own_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(system.geteuid()).pw_name
    except KeyError:
        raise Deferral(
            f"no user given: USER is not set and uid {system.geteuid()} has no passwd entry"
        ) from None


def _home_of(user: str) -> str:
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        raise Deferral(f"unknown user {user}: no passwd entry, and HOME is not set") from None


def _uid_of(user: str) -> int:
    """The user id of USER, 0 if there is no such user.

    A home that root owns says nothing: what its user put below it must not be written as root.
    """
    import pwd

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return 0


def become_owner(envelope: Envelope) -> None:
    """As root, become the user ENVELOPE is for, with the groups of that user; else do nothing."""
    if system.geteuid() != 0 or envelope.uid == 0:
        return
    import pwd

    try:
        entry = pwd.getpwuid(envelope.uid)
    except KeyError:
        gid = system.stat(envelope.home).st_gid
        system.setgroups([])
    else:
        gid = entry.pw_gid
        system.initgroups(entry.pw_name, gid)
    system.setgid(gid)
    system.setuid(envelope.uid)


def state_directory(envelope: Envelope, environ: Mapping[str, str]) -> str:
    """Where this user's state is kept (XDG Base Directory Specification)."""
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return system.join(base, "mdeliver")
    return system.join(envelope.home, ".local", "state", "mdeliver")
