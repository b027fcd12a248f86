"""What a delivery found damaged, told: a line in the decision log, and a warning to syslog.

Line        {"time": S, "damaged": FILE, "kept": FILE or null, "text": all of it in words}
Fails with  nothing: as with accounts, nothing that goes wrong here touches a delivery
See also    damage.py, account.py; recall.py, which reads the lines
"""

from __future__ import annotations

import time

from mdeliver import damage, system
from mdeliver.history import decisions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.settings import Site


def tell(state: str, site: Site) -> None:
    """Tell what this process has found in the state directory STATE, in the log there."""
    for found in damage.taken(state):
        said = {
            "time": round(time.time(), 3),
            "damaged": found.path,
            "kept": found.kept or None,
            "text": found.text,
        }
        try:
            if site.log_decisions:
                line = decisions.as_json(said).encode("ascii") + b"\n"
                decisions.append(state, line, site.log_kilobytes, site.log_files)
        except Exception:
            pass  # syslog may still have it
        try:
            if site.syslog and system.exists(site.syslog):
                from mdeliver.history import syslog

                syslog.warn(found.text, site)
        except Exception:
            pass  # away, or slow
