"""Changed rules come into use when their cases hold; until then the last good ones stay in use.

Cases     stand beside the rules: rules.cases for rules, spam.cases for spam.rules. The site's are
          tried on the site's rules alone, a user's on both.
Required  where they say `required`, or the site does (rules.cases in mdeliver.toml).
Tried     once for each set of files: rules, what they include and list, cases and their messages;
          and for other settings of the site. The verdict is kept in the state directory, so that no
          delivery tries them again; one that a slow or busy host may have brought about, only for
          limits.CASES_AGAIN_S.
Kept      the texts of the rules that were accepted last, and not what was made of them: a newer
          mdeliver reads them anew. Rules that --rules names have a file of their own: they are not
          the last good ones of anybody else.
No last good ones  as with an error in the rules: the message is deferred or goes to the inbox.
Fails with  Outcome; what goes wrong while the verdict is written is left to the next delivery.
See also  replay/trial.py; mdeliver-rules(5), CASES
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import mdeliver
from mdeliver import damage, durable, limits, system
from mdeliver.envelope import Envelope
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Program
from mdeliver.outcome import Deferral, deferred_by, one_line
from mdeliver.replay import trial
from mdeliver.replay.cases import Cases, parse_cases
from mdeliver.rulesfile import cases_beside, read_rules, rules_paths
from mdeliver.settings import Site

KEPT = "accepted-rules"

_NEVER_S = 1 << 40
"""Seconds since 1970: beyond all calendars."""
"""Name of the file in the state directory; of rules that --rules names it goes on."""


class Loaded(NamedTuple):
    """Rules as they were read.

    paths  of the rules files, the site's first
    texts  of these and of all that they include and list, by the path that they were read by
    seen   status of each file; gets those of the cases
    """

    paths: Sequence[str]
    texts: Mapping[str, str]
    seen: dict[str, system.stat_result]


class Refused(NamedTuple):
    """Rules that are not taken into use.

    line  why, on one line
    good  the program of the last good ones; None where there are none
    """

    line: str
    good: Program | None


class _Demand(NamedTuple):
    """Cases that must hold, and the rules files that they are about; `trouble`: why not known."""

    path: str
    cases: Cases | None
    rules: Sequence[str]
    trouble: str = ""


def examine(
    loaded: Loaded, envelope: Envelope, site: Site, state: str, *, keep: bool = True
) -> Refused | None:
    """Whether the rules that were LOADED are to be used: None if so.

    state  the state directory
    keep   whether the verdict is written there
    """
    demands = [
        demand
        for place, rules in enumerate(loaded.paths, 1)
        if (demand := _demand(rules, loaded.paths[:place], loaded, envelope, site)) is not None
    ]
    if not demands:
        return None
    path = system.join(state, _kept_name(loaded, envelope))
    kept = _read(path, keep=keep)
    digest = _digest(loaded, demands, envelope, site)
    if kept.get("good", {}).get("digest") == digest:
        return None
    if _still_refused(kept.get("refused", {}), digest):
        line = str(kept["refused"]["line"])
    else:
        line, lasts = _first_failure(demands, loaded, envelope, site)
        if not line:
            good = {
                "digest": digest,
                "accepted_s": int(time.time()),
                "rules": list(loaded.paths),
                "texts": dict(loaded.texts),
            }
            if keep:
                _write(path, {"good": good})
            return None
        if keep:
            until_s = None if lasts else time.time() + limits.CASES_AGAIN_S
            said = {"digest": digest, "line": line, "until_s": until_s}
            _write(path, {**kept, "refused": said})
    program = _last_good(kept.get("good", {}))
    if program is None:
        return Refused(f"{line}; no earlier rules are known whose cases held", None)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept["good"]["accepted_s"]))
    line = f"by the rules of {when}, since {line}"
    return Refused(line, program.replace(notice=line))


def _kept_name(loaded: Loaded, envelope: Envelope) -> str:
    """The file of these rules in the state directory."""
    if list(loaded.paths) == rules_paths(envelope.home, None):
        return KEPT
    paths = repr(list(loaded.paths)).encode("utf-8", "surrogatepass")
    return f"{KEPT}-{blake2b(paths, digest_size=8).hexdigest()}"


def _still_refused(refused: Mapping[str, Any], digest: str) -> bool:
    """Whether what was kept of REFUSED rules is about those with DIGEST, and still believed."""
    until_s = refused.get("until_s")
    if refused.get("digest") != digest or until_s is None:
        return refused.get("digest") == digest
    # A clock that was set back must not make it last.
    return isinstance(until_s, int | float) and 0 < until_s - time.time() <= limits.CASES_AGAIN_S


def _demand(
    path: str, rules: Sequence[str], loaded: Loaded, envelope: Envelope, site: Site
) -> _Demand | None:
    """What the cases beside the rules file PATH demand; None where they do not, or are not there.

    rules  the files that they are about
    """
    (beside,) = cases_beside([path]) or [""]
    if not beside:
        return None
    try:
        text = read_rules(beside, envelope.uid, loaded.seen)
    except (OSError, Deferral) as error:
        # Whoever is told to rely on them must not be told otherwise by a mode or a full table.
        return (
            _Demand(beside, None, rules, deferred_by(error).text) if site.cases_required else None
        )
    cases = parse_cases(text, beside)
    if not site.cases_required and not cases.required:
        return None
    for case in cases.cases:
        if case.file:
            file = _message_file(beside, case.file)
            try:
                loaded.seen[file] = system.stat(file)
            except OSError:
                pass  # trying it says so
    return _Demand(beside, cases, rules, "")


def _message_file(cases: str, file: str) -> str:
    return os.path.join(os.path.dirname(cases), file)


def _digest(loaded: Loaded, demands: Sequence[_Demand], envelope: Envelope, site: Site) -> str:
    """What the verdict is about. Of messages in files the status will do: a copy is tried anew."""
    parts: list[Any] = [
        mdeliver.__version__,
        envelope.user,
        envelope.home,
        repr(site),
        sorted(loaded.texts.items()),
    ]
    for demand in demands:
        parts.append((demand.path, repr(demand.cases), demand.trouble))
        for case in demand.cases.cases if demand.cases else ():
            status = loaded.seen.get(_message_file(demand.path, case.file)) if case.file else None
            parts.append((status.st_size, status.st_mtime_ns) if status else None)
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _first_failure(
    demands: Sequence[_Demand], loaded: Loaded, envelope: Envelope, site: Site
) -> tuple[str, bool]:
    """The first case that does not hold, on one line, "" if all do; and whether that lasts."""
    until_s = time.monotonic() + limits.CASES_S
    for demand in demands:
        if demand.cases is None:
            return one_line(demand.trouble), False
        sources = [Source(path, loaded.texts[path]) for path in demand.rules]
        tried = trial.trial_of(demand.path, demand.cases, sources, _reader(loaded.texts))
        if tried.program is None:
            return one_line(tried.findings[0].line), True
        for case in tried.cases:
            where = f"{demand.path}:{case.line}"
            if time.monotonic() > until_s:
                words = f"{where}: C107 the cases take longer than {limits.CASES_S} s"
                return one_line(words), False
            try:
                failures = trial.try_case(tried, case, envelope, site).failures
            except (OSError, ValueError, Deferral) as error:
                return one_line(f"{where}: C106 {case.file}: {deferred_by(error).text}"), False
            if failures:
                words, instead = failures[0].expected.words, failures[0].instead
                failed = f'{where}: C106 "{case.title}" does not hold: {words} (instead: {instead})'
                return one_line(failed), True
    return "", True


def _reader(texts: Mapping[str, str]) -> Any:
    """Reads what was read before."""

    def read(path: str) -> str:
        if path not in texts:
            raise FileNotFoundError(2, "was not read", path)
        return texts[path]

    return read


def _last_good(good: Mapping[str, Any]) -> Program | None:
    """The program that was accepted last, checked anew."""
    try:
        texts = {str(path): str(text) for path, text in good["texts"].items()}
        sources = [Source(path, texts[path]) for path in good["rules"]]
        return compile_rules(sources, _reader(texts)).program
    except (AttributeError, KeyError, TypeError):
        return None


# --- what is kept ----------------------------------------------------------------------------


def _read(path: str, *, keep: bool) -> dict[str, Any]:
    """What was kept, as far as it can be read; KEEP: the file is mended where it cannot."""
    try:
        fd = durable.open_own_file(path, create=False)
        try:
            size = durable.size_of(fd)
            octets = durable.read_at(fd, limits.ACCEPTED_BYTES, 0)
        finally:
            durable.close_read(fd)
    except (OSError, Deferral):
        return {}
    try:
        said = json.loads(octets)
    except (ValueError, RecursionError):
        said = None
    parts = said if isinstance(said, dict) else {}
    kept = {part: said for part, said in parts.items() if _is_whole(part, said)}
    if keep and (kept != said or size > limits.ACCEPTED_BYTES):
        found = damage.kept(path, "it held no verdicts on rules", octets, size)
        if _write(path, kept):
            damage.note(found)
    return kept


def _is_whole(part: str, said: object) -> bool:
    """Whether SAID is what `examine` writes of the PART "good" or "refused"."""
    match part, said:
        case "good", {"digest": str(), "rules": list(), "texts": dict(), "accepted_s": int() as s}:
            return 0 <= s < _NEVER_S
        case "refused", {"digest": str(), "line": str()}:
            return True
        case _:
            return False


def _write(path: str, kept: dict[str, Any]) -> bool:
    """Keep it, in one step and for good; whether that could be done."""
    octets = json.dumps(kept).encode()
    if len(octets) > limits.ACCEPTED_BYTES:
        return False
    try:
        durable.replace(path, octets)
    except OSError:
        return False
    return True
