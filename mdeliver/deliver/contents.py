"""The octets that each delivery of one message takes, and how the journal names them.

Most deliveries take the message as it came. Where rules changed the header, or a filter gave
another message back, the retry must store the very same octets as the attempt that it completes:
so the journal's line says which content a place gets, header lines written out.

A content as one word:  "" as it came; else NUMBER of the filter, then a line for each edit:
"set X-Folder: Lists", "add ...", "remove X-Spam-Flag:"
"""

from __future__ import annotations

from mdeliver.outcome import Deferral
from mdeliver.plan import AS_IT_CAME, Content, Edit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdeliver.letter import Letter
    from mdeliver.plan import Deed


class Contents:
    """What became of one message on its way through the rules."""

    __slots__ = ("_filtered", "_made", "as_it_came")

    def __init__(self, as_it_came: Letter, filtered: Mapping[int, Letter]) -> None:
        """FILTERED has what filters made, by their numbers, which begin at 1."""
        self.as_it_came = as_it_came
        self._filtered = filtered
        self._made: dict[Content, Letter] = {}

    def letter(self, content: Content) -> Letter:
        """The octets of CONTENT; raises Deferral if a filter's result is not at hand."""
        if content is AS_IT_CAME:
            return self.as_it_came
        made = self._made.get(content)
        if made is None:
            from mdeliver.edits import edited_letter

            base: Letter | None = self.as_it_came
            if content.filtered:
                base = self._filtered.get(content.filtered)
            if base is None:
                raise Deferral("what a filter made of this message is not kept any more")
            made = self._made[content] = edited_letter(base, content.edits)
        return made


def content_word(content: Content) -> str:
    """CONTENT as one word of the journal."""
    if content is AS_IT_CAME:
        return ""
    # No edit has a line end in it (actions/headers.py); the journal escapes those between them.
    edits = [f"{edit.deed} {edit.name}:{edit.text}" for edit in content.edits]
    return "\n".join([str(content.filtered), *edits])


def content_of(word: str) -> Content:
    """The content that WORD of the journal names."""
    if not word:
        return AS_IT_CAME
    number, *lines = word.split("\n")
    edits: list[Edit] = []
    for line in lines:
        deed, _, field = line.partition(" ")
        name, _, text = field.partition(":")
        edits.append(Edit(_deed(deed), name, text, None))
    return Content(int(number), tuple(edits))


def _deed(word: str) -> Deed:
    match word:
        case "set":
            return "set"
        case "add":
            return "add"
        case "remove":
            return "remove"
        case "prepend":
            return "prepend"
        case "drop":
            return "drop"
        case _:
            raise AssertionError(f"the journal has the header edit {word}")
