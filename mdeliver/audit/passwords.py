"""TLS and AUTH: passwords never in the clear, submission for users alone, TLS where it belongs.

Port 25     TLS for those who want it: servers of others have no password, and none may be asked for
            TLS that all should reach (RFC 3207, 4). AUTH there only invites to guess passwords.
Submission  TLS before AUTH (RFC 8314), and nobody without a password
See also    TLS_README, SASL_README; postfix/submission.py, which sets it up
"""

from __future__ import annotations

import os
import stat

from mdeliver.audit.finding import Finding
from mdeliver.postfix.configuration import split_list
from mdeliver.sent.setup import demands_auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host
    from mdeliver.postfix.configuration import Service

_SUBMISSION_PORTS = ("submission", "587", "submissions", "smtps", "465")
_ONLY_USERS = "permit_sasl_authenticated,reject"
_SET_UP = ("mdeliver postfix submission", "mdeliver postfix --apply submission")


def port_of(service: Service) -> str:
    """The port of an inet service, as master.cf has it: "smtp", "587"."""
    return service.name.removesuffix("/inet").rpartition(":")[2]


def passwords_are_safe(host: Host) -> Iterator[Finding]:
    """Whether passwords cross the network encrypted only, and AUTH is where it belongs."""
    offering = [s for s in host.public_services if _on(host, s, "smtpd_sasl_auth_enable")]
    if not offering:
        yield Finding(
            "advice",
            "no service offers AUTH: users cannot send through this host from elsewhere",
            "they send through others, whose mail SPF and DKIM do not cover",
            "set up submission",
            _SET_UP,
        )
    for service in offering:
        complaints = list(_of_service(host, service))
        yield from complaints
        if not complaints:
            yield Finding("fine", f"{service.name} takes passwords over TLS, from users alone")
    if offering:
        yield from _dovecots_socket(host, offering)


def _of_service(host: Host, service: Service) -> Iterator[Finding]:
    name = service.name
    if not _encrypts_first(host, service):
        yield Finding(
            "failure",
            f"{name} takes passwords in the clear",
            "whoever is on the way reads them, and sends spam in your users' names",
            "offer AUTH over TLS only",
            (f"postconf -P '{name}/smtpd_tls_auth_only=yes'", "postfix reload"),
        )
    on_25 = port_of(service) in ("smtp", "25") or name.endswith("/pass")
    if on_25:
        yield Finding(
            "warning",
            f"{name} offers AUTH, where other servers bring mail",
            "programs guess passwords there day and night; users have submission",
            "offer AUTH on submission alone",
            ("postconf -e 'smtpd_sasl_auth_enable = no'", *_SET_UP[1:], "postfix reload"),
        )
    elif port_of(service) in _SUBMISSION_PORTS and not demands_auth(service):
        yield Finding(
            "warning",
            f"{name} takes mail from strangers, too",
            "what is asked of strangers on port 25 may not be asked here; submission is for users",
            "refuse who has not authenticated",
            (
                f"postconf -P '{name}/smtpd_recipient_restrictions={_ONLY_USERS}'",
                "postfix reload",
            ),
        )


def _on(host: Host, service: Service, name: str) -> bool:
    return host.value_for(service, name) == "yes"


def _encrypts_first(host: Host, service: Service) -> bool:
    level = host.value_for(service, "smtpd_tls_security_level")
    return (
        _on(host, service, "smtpd_tls_wrappermode")
        or _on(host, service, "smtpd_tls_auth_only")
        or level == "encrypt"
        or _on(host, service, "smtpd_enforce_tls")
    )


def _dovecots_socket(host: Host, offering: list[Service]) -> Iterator[Finding]:
    """Whether the socket is there that knows the passwords."""
    queue = host.value("queue_directory")
    for service in offering:
        path = host.value_for(service, "smtpd_sasl_path")
        if host.value_for(service, "smtpd_sasl_type") != "dovecot" or path.startswith("inet:"):
            continue
        whole = os.path.join(queue, path.removeprefix("unix:"))
        try:
            found = stat.S_ISSOCK(os.stat(whole).st_mode)
        except PermissionError:
            return  # only root sees it
        except OSError:
            found = False
        if not found:
            yield Finding(
                "failure",
                f"{service.name} asks {whole} for passwords, and there is no such socket",
                "nobody can log in to send",
                "have Dovecot make it",
                ("mdeliver postfix --dovecot", "# smtpd_sasl_type = dovecot, and restart Dovecot"),
            )
            return


# --- TLS -------------------------------------------------------------------------------------


def tls_is_offered(host: Host) -> Iterator[Finding]:
    """Whether TLS is offered on port 25 and not demanded, and used when sending."""
    for service in host.services_for_strangers:
        level = host.value_for(service, "smtpd_tls_security_level")
        if port_of(service) not in (*_SUBMISSION_PORTS,) and level == "encrypt":
            yield Finding(
                "failure",
                f"{service.name} demands TLS from other servers",
                "mail of those without TLS is refused (RFC 3207, 4)",
                "offer it",
                ("postconf -e 'smtpd_tls_security_level = may'", "postfix reload"),
            )
        elif level in ("", "none"):
            yield Finding(
                "advice",
                f"{service.name} offers no TLS to other servers",
                "their mail comes in the clear",
                "offer TLS, with a certificate",
                ("mdeliver postfix --apply submission --certificate KEY,CERTIFICATES",),
            )
        elif _of(host, service):
            yield Finding("fine", f"{service.name} offers TLS")
    for service in host.public_services:
        level = host.value_for(service, "smtpd_tls_security_level")
        wants = level in ("may", "encrypt") or _on(host, service, "smtpd_tls_wrappermode")
        if wants and not _of(host, service):
            yield Finding(
                "failure",
                f"{service.name} has TLS on, but no certificate",
                "clients that want TLS, as all mail programs do, cannot connect",
                "name a key and its certificates",
                ("mdeliver postfix --apply submission --certificate KEY,CERTIFICATES",),
            )
    if host.value("smtp_tls_security_level") in ("", "none"):
        yield Finding(
            "advice",
            "smtp_tls_security_level is empty: mail leaves in the clear",
            "others on the way can read it, though nearly every server takes TLS",
            "use TLS where it is offered",
            ("postconf -e 'smtp_tls_security_level = may'", "postfix reload"),
        )


_CERTIFICATES = ("chain_files", "cert_file", "eccert_file", "dcert_file")


def certificates(host: Host) -> list[str]:
    """Files with certificates of main.cf, keys among them where they are in the same file."""
    found = [split_list(host.value(f"smtpd_tls_{name}")) for name in _CERTIFICATES]
    return [path for paths in found for path in paths if path != "none"]


def _of(host: Host, service: Service) -> bool:
    own = [host.value_for(service, f"smtpd_tls_{name}") for name in _CERTIFICATES]
    return any(value not in ("", "none") for value in own)
