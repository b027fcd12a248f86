"""`file to` and `keep`: from targets to plan.File, with absolute paths.

A mailbox path may begin with `~/`, or is relative to home; braces in it are filled in as in any
text, but what comes from a message can add no separator. `{folder}` stands for the folder; without
it a maildir has Maildir++ folders and an mbox none.
"""

from __future__ import annotations

from mdeliver import system
from mdeliver.folders import encode_name, maildirpp_name, safe_step
from mdeliver.language.syntax import Brace, FolderTarget, InboxTarget
from mdeliver.plan import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import Store, Target, Text
    from mdeliver.scene import Scene

FLAGS = ("seen", "flagged", "answered", "draft")
"""All flags, in the order in which a plan lists them."""

# Words of the system and of whoever wrote the rules; they may hold separators.
_TRUSTED = ("home", "sent", "year", "month", "day")


def places(
    scene: Scene, targets: tuple[Target, ...], flags: tuple[str, ...], rule: str | None
) -> list[File]:
    """The places that TARGETS name now."""
    found: list[File] = []
    ordered = tuple([flag for flag in FLAGS if flag in flags]) if flags else ()
    for target in targets:
        if isinstance(target, InboxTarget):
            inbox = places(scene, scene.inbox, flags, rule)
            found += without_pop3(inbox) if scene.site.pop3_gets == "nothing" else inbox
        elif isinstance(target, FolderTarget):
            store = scene.mailboxes[target.mailbox]
            steps = [name for step in target.steps for name in _names(scene, step)]
            found.append(_file(scene, store, target.mailbox, steps, ordered, rule))
        else:
            found.append(_file(scene, target, None, [], ordered, rule))
    return found


def without_pop3(inbox: list[File]) -> list[File]:
    """INBOX without its mboxes; all of it where it has nothing else."""
    return [file for file in inbox if file.store == "maildir"] or inbox


def left_out(scene: Scene, targets: tuple[Target, ...]) -> list[str]:
    """The mboxes of the inbox that get no copy, since POP3 is to get nothing; for explanations."""
    if scene.site.pop3_gets != "nothing" or not any(isinstance(t, InboxTarget) for t in targets):
        return []
    inbox = places(scene, scene.inbox, (), None)
    kept = without_pop3(inbox)
    return [file.path for file in inbox if file not in kept]


def _names(scene: Scene, step: Text) -> list[str]:
    """The folder names of STEP; what the site calls its Sent folder may be several."""
    match step.parts:
        case (Brace(name="sent"),) if "sent" not in scene.lets:
            return scene.site.sent_folder.split("/")
        case _:
            return [scene.words(step)]


def _file(
    scene: Scene,
    store: Store,
    mailbox: str | None,
    steps: list[str],
    flags: tuple[str, ...],
    rule: str | None,
) -> File:
    # IMAP's INBOX is one in any case (RFC 3501 5.1); Dovecot's directory for `inbox/x` is .INBOX.x.
    if steps and steps[0].upper() == "INBOX":
        steps[0] = "INBOX"
    if "folder" in [part.name for part in store.path.parts if isinstance(part, Brace)]:
        safe = [safe_step(step, dots=True) for step in steps] or ["INBOX"]
        path = root = _path(scene, store.path, "/".join([encode_name(step) for step in safe]))
    else:
        path = root = _path(scene, store.path, "")
        safe = [safe_step(step, dots=False) for step in steps]
        if safe and safe != ["INBOX"]:
            if store.kind == "mbox":
                raise AssertionError("the checker let a folder of an mbox through")
            path = f"{root}/{maildirpp_name(safe)}"
    folder = "/".join(safe) if steps else None
    return File(store.kind, path, root, mailbox, folder, flags, rule)


def _path(scene: Scene, text: Text, folder: str) -> str:
    """TEXT as an absolute path; FOLDER, safe and encoded, is what `{folder}` stands for."""
    made: list[str] = []
    for part in text.parts:
        if not isinstance(part, Brace):
            made.append(part)
        elif part.name == "folder":
            made.append(folder)
        elif part.name in _TRUSTED and part.name not in scene.lets:
            made.append(scene.brace(part))
        elif part.name == "user" and part.name not in scene.lets:
            made.append(_one_step(scene.brace(part)))
        else:
            made.append(_harmless(scene, part))
    path = "".join(made)
    home = scene.envelope.home
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    elif not path.startswith("/"):
        path = f"{home}/{path}"
    # POSIX gives a path of exactly two slashes a meaning of its own; here it has none.
    return system.normal("/" + path.lstrip("/"))


def _one_step(user: str) -> str:
    """USER as a step of a path: as it is, if it is a login name.

    Who is the virtual user of an address in a domain that is all somebody's, a sender says.
    """
    return "_" if user in (".", "..") else user.replace("/", "_")


def _harmless(scene: Scene, brace: Brace) -> str:
    """What BRACE stands for in a path: a `let`'s own words as they are, a message's made safe."""
    value = scene.lets.get(brace.name)
    if value is None:
        return safe_step(scene.brace(brace), dots=True)
    made = [
        piece if type(piece) is str else safe_step(piece, dots=True)
        for one in value
        for piece in getattr(one, "parts", None) or (scene.brace(brace),)
    ]
    words = "".join(made)
    return words.lower() if brace.lower else words
