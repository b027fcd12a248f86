"""What to do about a recipe that was not carried over."""

from __future__ import annotations

from mdeliver.procmail.syntax import Recipe

_ADVICE = (
    ("needs a shell", "put it into a script of its own, or convert with --allow-shell"),
    ("gets only the", "let the program skip the rest itself, or convert with --allow-shell"),
    ("fails", "leave it out: a delivery that fails leaves the message in the queue"),
    ("MH folder", "use a Maildir"),
    ("counts how often", "ask whether it occurs, or let a spam filter count"),
    ("grows with the size", "compare the size with > or <"),
    ("output of a program", "write what it prints, or ask with program … succeeds"),
    ("over the end of a header line", "write a test for each header"),
    ("it hangs on", "mend that one first"),
    ("how the body is packed", "ask with attachment or attachment type, or for the decoded text"),
    ("an encoded word", "ask for the text that it stands for"),
    ("not valid", "mend the expression"),
    ("the head goes", "file the message whole"),
)


def advice(why: str, recipe: Recipe) -> str:
    """What to do about RECIPE, which was not carried over because of WHY."""
    for words, todo in _ADVICE:
        if words in why:
            return todo
    flags = recipe.head.flags
    if "h" in flags or "b" in flags:
        return "file or forward the whole message"
    return "write it by hand; see mdeliver-rules(5)"
