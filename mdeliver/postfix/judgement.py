"""How likely it is that a refused message was one that the recipient wants, and why.

Evidence    from the log alone: who has written to whom, whose mail was taken before, from where,
            how it was tried again. Each reason that is found weighs for or against; all are shown.
Levels      own      this Postfix is at fault, whoever sent the message
            likely   probably wanted: to be looked at first
            perhaps
            through  the same sender reached the same recipient later, or it was only a warning
            rightly  nothing speaks for it
Forged      a sender's address proves nothing, so what was taken from it counts in full only if it
            came from the same network; a doubtful line of the log is never likely.
See also    history.py; remedies.py says what to do
"""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

from mdeliver.postfix.history import Attempt, History, Taken, organization

Level = Literal["own", "likely", "perhaps", "through", "rightly"]
LEVELS: tuple[Level, ...] = ("own", "likely", "perhaps", "through", "rightly")

LIKELY = 5
PERHAPS = 2

RETRY_S = 300
"""Mail servers wait longer than this before they try again; spam programs seldom try again."""

_OWN = ("own configuration", "own look-up", "own trouble", "queue_minfree")
_MANY = 10


class Reason(NamedTuple):
    """One reason: its weight, and words with places for texts, moments and numbers of messages.

    The words are put together when somebody reads them: most attempts are only counted.
    """

    weight: int
    words: str
    arguments: tuple[str | float | int, ...] = ()

    def __str__(self) -> str:
        return self.words.format(*[_worded(argument) for argument in self.arguments])


class Judgement(NamedTuple):
    """What is thought of an attempt.

    weight   of all reasons together; LIKELY or more is likely
    found    the reasons, what weighs most first
    """

    level: Level
    weight: int
    found: tuple[Reason, ...]

    @property
    def reasons(self) -> list[str]:
        """Sentences without a full stop."""
        return [str(reason) for reason in self.found]


def judge(attempt: Attempt, history: History) -> Judgement:
    """What HISTORY makes of ATTEMPT."""
    if attempt.last.check in _OWN:
        return Judgement("own", LIKELY, (_OWN_FAULT,))
    if attempt.doubtful:
        return Judgement("rightly", 0, (_DOUBT,))
    found = _for(attempt, history)
    found += _against(attempt, history)
    if len(found) > 1:
        found.sort(key=lambda reason: -abs(reason[0]))
    weight = 0
    for reason in found:
        weight += reason[0]
    if through := _through(attempt, history):
        return Judgement("through", weight, (through, *found))
    level: Level = "likely" if weight >= LIKELY else "perhaps" if weight >= PERHAPS else "rightly"
    return Judgement(level, weight, tuple(found))


_OWN_FAULT = Reason(LIKELY, "this Postfix could not decide: the sender is not at fault")
_DOUBT = Reason(0, "the line can be read in more than one way, as if somebody wanted that")


def _through(attempt: Attempt, history: History) -> Reason | None:
    if not attempt.sender or attempt.last.action != "refused":
        return None
    later_s = history.came_through.get((attempt.sender, attempt.recipient))
    if later_s is None or later_s < attempt.first_s:
        return None
    after = duration(later_s - attempt.first_s)
    words = "mail of this sender reached this recipient {} after it was refused"
    return Reason(0, words, (after,))


# --- for -------------------------------------------------------------------------------------


def _for(attempt: Attempt, history: History) -> list[Reason]:
    """Reasons to think that it is wanted."""
    refusal = attempt.last
    found = []
    if sender := attempt.sender:
        recipient = attempt.recipient
        if wrote_s := history.wrote.get((recipient, sender)):
            words = "{} wrote to {} on {}"
            found.append(Reason(6, words, (recipient, sender, wrote_s)))
        if taken := history.senders.get(sender):
            found.append(_taken_of_sender(taken, attempt.network))
    if taken := history.clients.get(refusal.client):
        words = "{} of this client taken, the last on {}"
        found.append(Reason(3, words, (taken.messages, taken.last_s)))
    if attempt.count > 1 and refusal.reply.startswith("4") and _comes_back(attempt):
        tries = f"{attempt.count} times"
        took = duration(refusal.time_s - attempt.first_s)
        words = "tried {} in {}, as mail servers do and spam programs seldom"
        found.append(Reason(3, words, (tries, took)))
    if refusal.helo and (agreeing := _agreeing_names(attempt)):
        found.append(agreeing)
    return found


def _taken_of_sender(taken: Taken, network: str) -> Reason:
    counts = (taken.messages, taken.last_s)
    if network in taken.networks:
        return Reason(5, "{} of this sender taken, the last on {}, from the same network", counts)
    return Reason(1, "{} of this sender taken, the last on {}, but from elsewhere", counts)


def _comes_back(attempt: Attempt) -> bool:
    # A client that comes every few seconds is a program that knows nothing of queues.
    took_s = attempt.last.time_s - attempt.first_s
    return took_s >= (RETRY_S if attempt.count == 2 else 2 * RETRY_S)


def _agreeing_names(attempt: Attempt) -> Reason | None:
    """Client, HELO and sender of one domain: somebody has set up a server with care."""
    said = attempt.last.helo
    if "." not in said or said.startswith("[") or said[-1].isdigit():
        return None
    helo = organization(said)
    agrees = attempt.sender.endswith((f"@{helo}", f".{helo}"))
    if not attempt.last.client_name:
        return Reason(1, "HELO and sender belong to {}", (helo,)) if agrees else None
    if attempt.network != helo:
        return None
    if agrees:
        return Reason(2, "client, HELO and sender all belong to {}", (helo,))
    return Reason(1, "client and HELO belong to {}", (helo,))


# --- against ---------------------------------------------------------------------------------

_LISTED = Reason(-4, "it is on a block list")
_NO_SERVER = Reason(-4, "the client does not behave as a mail server")
_CONTENT = Reason(-1, "the content was looked at")
_NO_NAME = Reason(-2, "the client has no name in DNS")
_BARE_HELO = Reason(-1, "HELO is no name of the Internet")
_OWN_DOMAIN = Reason(-3, "the sender's domain is one of this host, the client is not")

_AGAINST = {
    "postscreen_dnsbl_sites": _LISTED,
    "reject_rbl_client": _LISTED,
    "reject_rhsbl_client": _LISTED,
    "reject_rhsbl_sender": _LISTED,
    "reject_rhsbl_helo": _LISTED,
    "postscreen_greet_action": _NO_SERVER,
    "postscreen_access_list": _NO_SERVER,
    "postscreen_non_smtp_command_action": _NO_SERVER,
    "postscreen_pipelining_action": _NO_SERVER,
    "reject_unauth_pipelining": _NO_SERVER,
    "smtpd_forbid_bare_newline": _NO_SERVER,
    "reject_unauth_destination": Reason(
        -5, "the recipient is not of this host: somebody looks for an open relay"
    ),
    "reject_unlisted_recipient": Reason(-2, "there is no such recipient"),
    "milter": _CONTENT,
    "header_checks": _CONTENT,
    "body_checks": _CONTENT,
    "mime_header_checks": _CONTENT,
}


def _against(attempt: Attempt, history: History) -> list[Reason]:
    """Reasons to think that it is not wanted."""
    refusal = attempt.last
    found = []
    if reason := _AGAINST.get(refusal.check):
        found.append(reason)
    # postscreen asks for no names, and what is refused for the name alone is not weighed twice.
    asked = not refusal.check.startswith("postscreen") and "client_host" not in refusal.check
    if asked and not refusal.client_name:
        found.append(_NO_NAME)
    helo = refusal.helo
    if helo and "." not in helo and ":" not in helo:
        found.append(_BARE_HELO)
    if attempt.sender.rpartition("@")[2] in history.own_domains:
        found.append(_OWN_DOMAIN)
    others = history.refused_of_client.get(refusal.client, 0) - attempt.count
    if others >= _MANY and refusal.client not in history.clients:
        found.append(
            Reason(-2, "{} other tries of this client refused, none taken", (str(others),))
        )
    return found


# --- words -----------------------------------------------------------------------------------


def day(time_s: float) -> str:
    """The day and minute, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))


def duration(seconds: float) -> str:
    """In the unit that fits: "40 s", "13 min", "5 h", "3 days"."""
    for unit, name in ((86_400, " days"), (3600, " h"), (60, " min")):
        if seconds >= 2 * unit:
            return f"{round(seconds / unit)}{name}"
    return f"{round(max(0.0, seconds))} s"


def _worded(argument: str | float | int) -> str:
    if isinstance(argument, float):
        return day(argument)
    if isinstance(argument, int):
        return f"{argument} message" if argument == 1 else f"{argument} messages"
    return argument
