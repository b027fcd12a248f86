"""A home whose mail goes through a filter, into three places and a program, for seam.py's faults.

The filter says something else on each run. So the copies show by which run they were made, and all
of them must be of one: also where the retry completes what a killed attempt began.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdeliver.deliver.outside import Surroundings
from mdeliver.letter import Letter
from mdeliver.plan import AS_IT_CAME, Content, Pipe, Run
from tests.faults.box import Box
from tests.mboxreader import Torn, read_mbox

if TYPE_CHECKING:
    from mdeliver.plan import Action

FILTER = ("sh", "-c", "read -r u </proc/sys/kernel/random/uuid; echo X-Run: $u; exec cat")

# A killed delivery's program may be at work still when the retry's is: each writes its own file.
PROGRAM = ("sh", "-c", 'cat >begun.$$ && mv begun.$$ "$0.$$.$(cat /proc/sys/kernel/random/uuid)"')


class ProgramBox(Box):
    """Filtered, then filed in two Maildirs and a mbox, piped, and given to a program besides."""

    def carry_out(self, letter: Letter) -> None:
        outside = Surroundings(self.envelope, str(self.state))
        try:
            filtered, _how = outside.filtered(FILTER, letter.chunks(), letter.size)
            content = AS_IT_CAME if filtered is None else Content(1)
            actions: tuple[Action, ...] = (
                *[file.replace(content=content) for file in self.files],
                Pipe((*PROGRAM, "piped"), None, content),
                Run((*PROGRAM, "besides"), None, content),
            )
            self.deliver_files(actions, letter, (filtered,) if filtered is not None else ())
        finally:
            outside.close()

    def given(self, name: str) -> list[bytes]:
        """What the program called NAME was given, each time that it came to its end."""
        return [path.read_bytes() for path in sorted(self.home.glob(f"{name}.*"))]

    def faults_found(self, *, moved: Path | None = None) -> list[str]:
        """What is wrong after the retry; the pipe may have had the message before, too."""
        assert moved is None
        try:
            stored = [one.message for one in read_mbox(self.mbox.read_bytes())]
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_mbox = [m for m in stored if m.endswith(self.message.rstrip(b"\n") + b"\n")]
        places = {
            "mbox": in_mbox,
            "Maildir": self._in(self.maildir),
            "Maildir/.Work": self._in(self.folder),
        }
        found = [
            f"{'lost in' if not there else f'{len(there)} times in'} {name}"
            for name, there in places.items()
            if len(there) != 1
        ]
        kinds = {m.rstrip(b"\n") for there in places.values() for m in there}
        if len(kinds) > 1:
            found.append("the places have what different runs of the filter made")
        piped = {octets.rstrip(b"\n") for octets in self.given("piped")}
        if not kinds & piped:
            found.append("the program was not given what was filed")
        if len(self.given("besides")) > 1:
            found.append("what has no say ran twice")
        for path in self.home.rglob("*"):
            if path.parent.name in ("tmp", "filtered") or path.name.endswith((".lock", ".new")):
                found.append(f"litter {path.relative_to(self.home)}")
        return found

    def _in(self, folder: Path) -> list[bytes]:
        return [
            octets
            for part in ("new", "cur")
            if (folder / part).is_dir()
            for path in sorted((folder / part).iterdir())
            if (octets := path.read_bytes()).endswith(self.message)
        ]
