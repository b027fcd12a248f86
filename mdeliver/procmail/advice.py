"""What to do about a recipe that was not carried over."""

from __future__ import annotations

from mdeliver.procmail.syntax import Recipe

_ADVICE = (
    ("needs a shell", "put it into a script of its own, or convert with --allow-shell"),
    ("before it fails", "leave it out: a delivery that fails leaves the message in the queue"),
    ("MH folder", "take one of the two rules below it: a Maildir in its place, or nmh's rcvstore"),
    ("for and against", "let a spam filter count, or write what one of them decides"),
    ("counts how often", "ask whether it occurs, or let a spam filter count"),
    ("grows with the size", "compare the size with > or <"),
    ("too many combinations", "let a spam filter count, or split it into several recipes"),
    ("exit status", "ask with program … succeeds"),
    ("the size of the head", "compare the size of the whole message"),
    ("the process id", "leave it out: a name of its own is what every delivery gets"),
    ("output of a program", "write what it prints, or ask with program … succeeds"),
    ("over the end of a header line", "write a test for each header"),
    ("over the end of a line", "ask for the decoded text with body, or write a test for each line"),
    ("it hangs on", "mend that one first"),
    ("an encoded word", "ask for the text that it stands for"),
    ("is no address", "write the address that is meant"),
    ("a hyphen", 'put "--" before it, if the program knows that'),
    ("not valid", "mend the expression"),
    ("goes into a folder", "file the message whole"),
    ("is forwarded", "forward the message whole"),
    ("the From_ line", "write a test of the header that is meant"),
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
