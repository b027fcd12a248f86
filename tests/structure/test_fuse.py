"""The two launchers and the agent agree on what they tell each other."""

from __future__ import annotations

import re

import mdeliver.__main__ as agent
from mdeliver import limits, outcome
from tests.launchers import DONE
from tests.structure.source import ROOT

C = (ROOT / "launcher" / "lda.c").read_text()
SCRIPT = (ROOT / "launcher" / "lda.py").read_text()


def _numbers(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found, pattern
    return [int(number) for number in re.findall(r"\d+", found[1])]


def test_done_is_the_same_number_everywhere() -> None:
    assert _numbers(r"#define AGENT_DONE (\d+)", C) == [agent.AGENT_DONE]
    assert _numbers(r"\nAGENT_DONE = (\d+)", SCRIPT) == [agent.AGENT_DONE]
    assert _numbers(r"\n    (\d+)\) exit 0 ;;", SCRIPT) == [agent.AGENT_DONE]
    assert agent.AGENT_DONE == DONE


def test_done_is_no_status_that_happens_by_accident() -> None:
    ours = {outcome.EX_OK, outcome.EX_TEMPFAIL, outcome.EX_NOPERM}
    assert agent.AGENT_DONE not in {0, 1, 2, 120, 126, 127, 255, *range(64, 79), *ours}


def test_rejections_are_the_same_list_everywhere() -> None:
    assert _numbers(r"rejections\[\] = \{ (.*?) /\*", C) == [outcome.EX_NOPERM]
    assert _numbers(r"REJECTIONS = \((.*?)\)", SCRIPT) == [outcome.EX_NOPERM]
    assert _numbers(r"\n    (77\) exit 77) ;;", SCRIPT) == [outcome.EX_NOPERM] * 2


def test_the_deadlines_come_one_after_the_other() -> None:
    postfix_command_time_limit_s = 1000
    agent_limit = _numbers(r"#define AGENT_LIMIT_S (\d+)", C)
    fuse_limit = _numbers(r"#define FUSE_LIMIT_S (\d+)", C)
    assert agent_limit == _numbers(r"\nAGENT_LIMIT_S = (\d+)", SCRIPT)
    assert fuse_limit == _numbers(r"\nFUSE_LIMIT_S = (\d+)", SCRIPT)
    order = [limits.LOCK_WAIT_S, limits.DEADLINE_S, *agent_limit, *fuse_limit]
    assert order == sorted(set(order))
    assert order[-1] < postfix_command_time_limit_s
