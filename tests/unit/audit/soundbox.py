"""A mail server about which `mdeliver audit` has nothing to say: settings, DNS, Dovecot, mailboxes.

Tests plant one fault at a time. There is no server: what is asked are postconf, postmap, doveconf
and a zone file.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner, Result

from mdeliver.cli.audit import command
from tests.servers.postfix import make_certificate

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {top}/queue
mail_spool_directory = {top}/spool
myhostname = mail.example.org
mydomain = example.org
myorigin = $mydomain
mydestination = $mydomain, $myhostname, localhost
mynetworks = 127.0.0.0/8
alias_maps = inline:{{ root=ann }}
recipient_delimiter = +
mailbox_command = {top}/mdeliver-lda
mailbox_size_limit = 0
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_chain_files = {top}/tls.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_helo_required = yes
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated,
  reject_unknown_client_hostname, reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname,
  check_helo_access inline:{{ {{ mail.example.org = REJECT mine }} }}, reject_unknown_helo_hostname,
  reject_non_fqdn_sender, reject_unknown_sender_domain, reject_non_fqdn_recipient,
  reject_unknown_recipient_domain
smtpd_data_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_pipelining,
  reject_multi_recipient_bounce
mdeliver_client_restrictions = permit_mynetworks, sleep 1, reject_unauth_pipelining
"""

MASTER_CF = """\
smtp       inet n - n - - smtpd
  -o smtpd_client_restrictions=$mdeliver_client_restrictions -o smtpd_delay_reject=no
submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
  -o smtpd_data_restrictions=
pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
smtp       unix - - n - - smtp
lmtp       unix - - n - - lmtp
"""

DOVECOT_CONF = """\
protocols = imap pop3
ssl = required
mail_location = maildir:~/Maildir
mbox_write_locks = fcntl dotlock
protocol pop3 {{
  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u
}}
service auth {{
  unix_listener {top}/queue/private/auth {{
    mode = 0660
    user = postfix
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox Drafts {{
    special_use = \\Drafts
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
"""

ZONE = """\
$ORIGIN example.org.
@ SOA ns hostmaster 1 1 1 1 1
@ MX 10 mail
@ TXT "v=spf1 ip4:192.0.2.25 mx -all"
mail A 192.0.2.25
mail TXT "v=spf1 ip4:192.0.2.25 -all"
www CNAME mail
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:postmaster@example.org"
{key}
$ORIGIN 2.0.192.in-addr.arpa.
@ SOA ns.example.org. hostmaster.example.org. 1 1 1 1 1
25 PTR mail.example.org.
"""

KEY = (
    'k1._domainkey TXT "v=DKIM1; k=ed25519; h=sha256; '
    'p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="'
)
"""The record of the key whose seed is RFC 8463's."""

SEED = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

Found = list[tuple[str, str, str]]


class SoundBox:
    """The settings of one host, below `top`."""

    def __init__(self, top: Path, certificate: Path) -> None:
        self.top = top
        self.etc = top / "postfix"
        self.main, self.master = self.etc / "main.cf", self.etc / "master.cf"
        self.dovecot, self.zone = top / "dovecot.conf", top / "zone"
        self.spool = top / "spool"
        for directory in (self.etc, self.spool, top / "queue" / "private"):
            directory.mkdir(parents=True)
        self.main.write_text(MAIN_CF.format(top=top))
        self.master.write_text(MASTER_CF)
        self.dovecot.write_text(DOVECOT_CONF.format(top=top))
        self.zone.write_text(ZONE.format(key=KEY))
        self.tls = top / "tls.pem"
        self.tls.write_bytes(certificate.read_bytes())
        self.tls.chmod(0o600)
        (top / "key").write_text(SEED)
        (top / "key").chmod(0o600)
        launcher = top / "mdeliver-lda"
        launcher.write_text("")
        launcher.chmod(0o755)
        self._listen()

    def _listen(self) -> None:
        """Leave a socket where Postfix asks for passwords; bind takes short paths alone."""
        before = os.getcwd()
        os.chdir(self.top / "queue" / "private")
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.bind("auth")
        finally:
            os.chdir(before)

    def set(self, line: str) -> None:
        """Set `NAME = VALUE` in main.cf, in the place of what is there."""
        name = line.partition("=")[0].strip()
        kept = re.sub(rf"^{name} =.*\n(?:[ \t]+.*\n)*", "", self.main.read_text(), flags=re.M)
        self.main.write_text(f"{kept}{line}\n")

    def replace(self, path: Path, old: str, new: str) -> None:
        """Change what stands in a file, where it is first."""
        text = path.read_text()
        assert old in text, f"{path} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def run(self, *words: str) -> Result:
        """Run `mdeliver audit` for it."""
        where = ["--postfix", str(self.etc), "--dovecot", str(self.dovecot)]
        given = ["--zone", str(self.zone), "--address", "192.0.2.25"]
        key = [
            "--dkim",
            f"example.org:k1:{self.top}/key",
            "--settings",
            "/dev/null",
        ]
        return CliRunner().invoke(command, [*where, *given, *key, *words])

    def found(self, *words: str) -> Found:
        """Check, level and sentence of whatever is not fine."""
        done = self.run("--json", *words)
        assert done.exit_code in (0, 1), (done.output, done.exception)
        return not_fine(done.stdout.splitlines())


def not_fine(lines: Iterable[str]) -> Found:
    findings = [json.loads(line) for line in lines]
    assert findings
    for finding in findings:
        assert finding["what"].isprintable()
        assert finding["level"] == "fine" or finding["how"] or "not known" in finding["what"]
    return [(f["check"], f["level"], f["what"]) for f in findings if f["level"] != "fine"]


def certificate(directory: Path) -> Path:
    """A certificate and its key, made once for many tests."""
    path = directory / "tls.pem"
    make_certificate(path)
    return path
