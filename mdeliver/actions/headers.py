"""`set header`, `add header`, `remove header`: later lines, and what is filed later, see it.

`set header "Name: text"`: braces are filled in; the name stands in the rules as it is, so that no
message decides which field is changed. See edits.py for what is done to the octets.
"""

from __future__ import annotations

from mdeliver.edits import header_text
from mdeliver.language.syntax import AddHeader, RemoveHeader, SetHeader
from mdeliver.plan import Edit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from mdeliver.evaluate import Run
    from mdeliver.scene import Scene


def plan_edits(run: Run, action: SetHeader | AddHeader | RemoveHeader) -> None:
    """Plan what ACTION does to the header, and do it to what later lines see."""
    for edit in tuple(_edits(run.scene, action)):
        run.scene.edit(edit)


def _edits(scene: Scene, action: SetHeader | AddHeader | RemoveHeader) -> Iterator[Edit]:
    where = action.span.where
    if isinstance(action, RemoveHeader):
        for name in action.names:
            yield Edit("remove", scene.words(name), "", where)
        return
    name_text, _colon, text = scene.words(action.line).partition(":")
    deed: Literal["set", "add"] = "set" if isinstance(action, SetHeader) else "add"
    yield Edit(deed, name_text.strip(), header_text(text), where)
