"""Every subject of faults by its name."""

from __future__ import annotations

from tests.faults.applied import Applied, Undone
from tests.faults.bothways import PutThere, TakenOut
from tests.faults.direct import Direct, Fresh, Unended
from tests.faults.downloaded import Downloaded
from tests.faults.grouped import Grouped
from tests.faults.subject import Subject
from tests.faults.tabled import Tabled

SUBJECTS: dict[str, type[Subject]] = {
    "direct": Direct,
    "direct-unended": Unended,
    "direct-fresh": Fresh,
    "lmtp worker": Grouped,
    "apply": Applied,
    "apply --undo": Undone,
    "pop-sync": Downloaded,
    "pop-sync --both-ways": TakenOut,
    "pop-sync, all mail": PutThere,
    "bcc-maps": Tabled,
}
