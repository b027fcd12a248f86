"""All targets by their names."""

from __future__ import annotations

from tests.fuzz import (
    heads,
    logs,
    peers,
    popsync,
    programs,
    records,
    rules,
    senders,
    states,
    tables,
)

TARGETS = {
    **heads.TARGETS,
    **peers.TARGETS,
    **senders.TARGETS,
    **records.TARGETS,
    **rules.TARGETS,
    **programs.TARGETS,
    **states.TARGETS,
    **tables.TARGETS,
    **logs.TARGETS,
    **popsync.TARGETS,
}
