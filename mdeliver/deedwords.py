"""What a plan's actions are called, by programs and by people.

    file  forward  pipe  run  reply  set header  add header  remove header  filter  log

See also  plan.py, explain.py; `mdeliver test --json` in mdeliver(1)
"""

from __future__ import annotations

from mdeliver.plan import Edit, File, Filter, Forward, Note, Pipe, Reply, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mdeliver.plan import Action


def action_object(action: Action) -> dict[str, Any]:
    """ACTION as an object of JSON; `action` and `rule` are in each."""
    match action:
        case File():
            what: dict[str, Any] = {
                "action": "file",
                "mailbox": action.mailbox,
                "folder": action.folder,
                "path": action.path,
                "flags": list(action.flags),
            }
        case Forward():
            addresses = list(action.addresses)
            what = {"action": "forward", "addresses": addresses, "sender": action.sender}
        case Pipe():
            what = {"action": "pipe", "program": list(action.argv)}
        case Run():
            what = {"action": "run", "program": list(action.argv)}
        case Reply():
            what = {
                "action": "reply",
                "to": action.to,
                "subject": action.subject,
                "every_s": action.every_s,
            }
        case Edit():
            what = {"action": f"{action.deed} header", "name": action.name, "text": action.text}
        case Filter():
            argv = list(action.argv)
            what = {"action": "filter", "program": argv, "changed": action.changed}
            what["why"] = action.why or None
        case Note():
            what = {"action": "log", "text": action.text}
        case _:
            raise AssertionError(f"no name for a {type(action).__name__}")
    return {**what, "rule": action.rule}


def action_words(action: Action) -> str:
    """ACTION as a rule would say it, in one line."""
    match action:
        case File():
            return f"file to {action.path}"
        case Forward():
            return f"forward to {', '.join(action.addresses)}"
        case Pipe():
            return f"pipe to {_command(action.argv)}"
        case Run():
            return f"run {_command(action.argv)}"
        case Reply():
            return f'reply to {action.to} "{action.subject}"'
        case Edit():
            field = f"{action.name}: {action.text}" if action.deed != "remove" else action.name
            if action.deed == "drop":
                field = f"{action.name}, forged, number {action.text} from the top"
            return f"{action.deed} header {field}"
        case Filter():
            done = "" if action.changed else f" (it stays as it was: {action.why})"
            return f"filter through {_command(action.argv)}{done}"
        case Note():
            return f'log "{action.text}"'
        case _:
            raise AssertionError(f"no words for a {type(action).__name__}")


def _command(argv: tuple[str, ...]) -> str:
    return " ".join([f'"{word}"' for word in argv])
