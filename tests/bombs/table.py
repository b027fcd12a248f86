"""All bombs by their names."""

from __future__ import annotations

from tests.bombs import files, mail, messages, senders
from tests.bombs.bomb import Bomb

BOMBS: dict[str, Bomb] = {**messages.BOMBS, **senders.BOMBS, **files.BOMBS, **mail.BOMBS}
