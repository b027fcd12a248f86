"""What DNS says of this host's keys and policies, held against what it should say.

Looks at    each key's record: there, one, readable, of the private key that is here, strong enough,
            not in test mode; a retired key may be gone. Each domain's SPF and DMARC records: there,
            one, and naming the addresses that send. The audit looks at these two in depth.
Selectors   the one that the milter signs with is the one that has to be right; others are told
See also    record.py, policy.py; audit/finding.py
"""

from __future__ import annotations

import ipaddress
import re

from mdeliver.audit.finding import Finding
from mdeliver.audit.spfquery import judge
from mdeliver.dkim import keys, policy, record
from mdeliver.outcome import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdeliver.audit.finding import Level
    from mdeliver.audit.names import Answer, Names
    from mdeliver.dkim.keys import Key
    from mdeliver.dkim.senders import Senders

_UNSIGNED = "mail of this domain leaves without a signature that others can verify"
_FAILS = "every signature by this key fails, and with a DMARC policy the mail with it"


def findings(
    senders: Senders, known: Sequence[Key], directory: str, names: Names
) -> Iterator[tuple[str, Finding]]:
    """What there is to say of each name in DNS, in order. Raises DkimError, OSError."""
    for domain in senders.domains:
        of_domain = [key for key in known if key.domain == domain]
        if not any(key.state == "signing" for key in of_domain):
            yield domain, _nothing_signs(of_domain)
        for key in of_domain:
            yield key.name, key_finding(key, directory, names)
    for advice in policy.advised(senders, "none"):
        yield advice.name, _policy_finding(advice, senders, names)


def _nothing_signs(of_domain: Sequence[Key]) -> Finding:
    how = (
        ("publish the new key's record, then mdeliver dkim --rotate",)
        if of_domain
        else ("mdeliver dkim --make", "then publish the record that it prints")
    )
    return Finding("failure", "no key signs", _UNSIGNED, "; ".join(how))


# --- keys ------------------------------------------------------------------------------------


def key_finding(key: Key, directory: str, names: Names) -> Finding:
    """What DNS has under the selector of KEY. Raises DkimError, OSError."""
    algorithm, public = keys.public_octets(key.path(directory))
    wanted = record.value_of(algorithm, public)
    answer = names.ask(key.name, "TXT")
    paste = tuple(record.in_zone(key.name, wanted).splitlines())
    if not answer.known:
        what = f"nobody knows what is published: {answer.why}"
        return Finding("warning", what, "the record could be wrong", "ask again")
    if key.state == "retired":
        return _retired(answer)
    level: Level = "failure" if key.state == "signing" else "advice"
    why = _FAILS if key.state == "signing" else "the key cannot be used before it is published"
    if not answer.values:
        return Finding(level, "no record is published", why, "publish it", paste)
    if len(answer.values) > 1:
        what = f"{len(answer.values)} TXT records are published, and one may be"
        return Finding(level, what, "which of them is read is chance", "leave this one", paste)
    try:
        found = record.read(answer.values[0])
        if not found.public:
            return Finding(level, "the key is revoked: p= is empty", why, "publish it", paste)
        if (found.algorithm, found.public) != (algorithm, public):
            what = "the record is of another key than the private key here"
            return Finding(level, what, why, "publish this one", paste)
        weak = record.weakness(found)
    except record.RecordError as error:
        return Finding(level, f"the record {error}", why, "publish this one", paste)
    if weak:
        return Finding("warning", f"the record {weak}", "", "publish a better one", paste)
    use = "signs" if key.state == "signing" else "is ready: mdeliver dkim --rotate signs with it"
    return Finding("fine", f"{algorithm}, {key.bits} bits, matches the private key, and {use}")


def _retired(answer: Answer) -> Finding:
    """A key that signs no more, whose record is to go in the end."""
    if not answer.values or record.REVOKED.rstrip() in {v.strip() for v in answer.values}:
        return Finding("fine", "retired, and not published any more")
    return Finding("fine", "retired; its record stays until what it has signed has arrived")


def open_keys(
    known: Sequence[Key], directory: str, group: int | None
) -> Iterator[tuple[str, Finding]]:
    """The private keys that others can read or change. Raises OSError.

    group  the milter's
    """
    for key in known:
        path = key.path(directory)
        if who := keys.readable_by_others(path, group):
            why = f"whoever has read it can sign as {key.domain}"
            how = "make a new key with --rotate --older-than 0d, and keep its directory closed"
            yield path, Finding("failure", f"it is open to others: {who}", why, how)


# --- SPF and DMARC ---------------------------------------------------------------------------


def _policy_finding(advice: policy.Advice, senders: Senders, names: Names) -> Finding:
    """Whether there is one record of a policy, and whether it is about this host."""
    answer = names.ask(advice.name, "TXT")
    if not answer.known:
        what = f"nobody knows which {advice.kind} record is published: {answer.why}"
        return Finding("warning", what, "it could be wrong", "ask again")
    start = "v=spf1" if advice.kind == "SPF" else "v=dmarc1"
    found = [
        value
        for value in answer.values
        if value.lower() == start or value.lower().startswith((f"{start} ", f"{start};"))
    ]
    paste = tuple(record.in_zone(advice.name, advice.value).splitlines())
    if not found:
        what = f"no {advice.kind} record is published"
        why = f"others cannot tell whether mail from {advice.name} is from here"
        return Finding("failure", what, why, "publish it", paste)
    if len(found) > 1:
        what = f"{len(found)} {advice.kind} records are published, and one may be"
        return Finding("failure", what, "verifiers ignore all of them", "leave one", paste)
    if advice.kind == "SPF":
        error = _error(advice.name, senders, names)
        covered = _covers(found[0], senders, paste)
        if error and covered.level == "fine":
            what, why = f"the SPF record has an error: {error}", "verifiers ignore all of it"
            return Finding("failure", what, why, "publish this one", paste)
        return covered
    return _dmarc(found[0], paste)


def _error(name: str, senders: Senders, names: Names) -> str:
    """What makes an SPF record permerror (RFC 7208, 2.6.7); "" if nothing does."""
    for address in senders.addresses:
        result = judge(address, f"postmaster@{name}", senders.host, names)
        if result.result == "permerror":
            return one_line(result.reason)
    return ""


def _covers(text: str, senders: Senders, paste: tuple[str, ...]) -> Finding:
    """Whether an SPF record names the addresses that send, as far as it can be told from it."""
    words = text.split()[1:]
    networks = []
    for word in words:
        name, _, value = word.lstrip("+").partition(":")
        if name.lower() in ("ip4", "ip6"):
            try:
                networks.append(ipaddress.ip_network(value, strict=False))
            except ValueError:
                what = f"the SPF record has {word}, which is no network"
                return Finding("failure", what, _PERMERROR, "mend it", paste)
    missing = [a for a in senders.addresses if not any(a in n for n in networks)]
    asks_dns = any(_ASKS_DNS.fullmatch(word) for word in words)
    if missing and not asks_dns:
        what = f"the SPF record does not name {', '.join(str(a) for a in missing)}"
        return Finding("failure", what, "mail from there fails SPF", "publish this one", paste)
    if missing:
        what = "the SPF record names this host's addresses, if at all, by other names"
        return Finding("fine", f"{what}; mdeliver audit looks them up")
    return Finding("fine", "the SPF record names every address that sends")


_PERMERROR = "verifiers take the whole record for an error"
_ASKS_DNS = re.compile(r"[+?~-]?(?:(?:a|mx|ptr)(?:[:/].*)?|include:.*|exists:.*|redirect=.*)", re.I)


def _dmarc(text: str, paste: tuple[str, ...]) -> Finding:
    tags = [tag.partition("=") for tag in text.split(";") if tag.strip()]
    said = {name.strip().lower(): value.strip() for name, _, value in tags}
    asked = said.get("p", "").lower()
    if asked and asked not in policy.POLICIES:
        return Finding("failure", "the DMARC record has no p= that there is", "", "mend it", paste)
    if "rua" not in said:
        what, why = "the DMARC record has no rua=", "nobody tells what is done in your name"
        return Finding("advice", what, why, "add rua=mailto:ADDRESS", paste)
    testing = " (t=y: one step less)" if said.get("t", "").lower() == "y" else ""
    return Finding("fine", f"DMARC p={asked or 'none'}{testing}, with reports")
