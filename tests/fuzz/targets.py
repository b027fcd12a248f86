"""All targets by their names."""

from __future__ import annotations

from tests.fuzz import heads, logs, peers, popsync, rules, states, tables

TARGETS = {
    **heads.TARGETS,
    **peers.TARGETS,
    **rules.TARGETS,
    **states.TARGETS,
    **tables.TARGETS,
    **logs.TARGETS,
    **popsync.TARGETS,
}
