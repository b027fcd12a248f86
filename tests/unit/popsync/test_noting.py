"""Two messages of one sender in the same second: which of them was it that has gone?"""

from __future__ import annotations

from pathlib import Path

from tests.popsyncbox import Mail


def marked(mail: Mail) -> list[int]:
    return sorted(n for n, path in mail.copies().items() if path.name.endswith("S"))


def test_the_one_that_stays_is_certainly_another(tmp_path: Path) -> None:
    """Only one of them is in the log, and it is gone before anybody has looked."""
    mail = Mail(tmp_path, downloaded="read")
    mail.deliver(1)
    mail.deliver(22222, log=False)
    mail.pop3(deleted=(1,))
    mail.look()
    assert marked(mail) == [1]


def test_the_one_that_stays_may_be_it(tmp_path: Path) -> None:
    """Of the same size: a rule may have written another Message-ID into the mbox's copy."""
    mail = Mail(tmp_path, downloaded="read")
    mail.deliver(1)
    mail.deliver(2, log=False)
    mail.pop3(deleted=(1,))
    mail.look()
    assert marked(mail) == []
    mail.pop3(deleted=(2,))
    mail.look()
    assert marked(mail) == [1, 2]


def test_a_message_id_that_rules_wrote_is_no_proof(tmp_path: Path) -> None:
    mail = Mail(tmp_path, downloaded="read")
    mail.deliver(1)
    octets = mail.mbox.read_bytes().replace(b"<1@x>", b"<1@rules.example>")
    mail.mbox.write_bytes(octets)
    path = mail.copies()[1]
    path.write_bytes(path.read_bytes().replace(b"<1@x>", b"<1@rules.example>"))
    mail.look()
    assert marked(mail) == []


def test_without_the_copy_nothing_is_proved(tmp_path: Path) -> None:
    mail = Mail(tmp_path, downloaded="read")
    mail.deliver(1)
    mail.deliver(22222, log=False)
    mail.imap(1, folder="gone")
    mail.pop3(deleted=(1,))
    assert mail.look().changes == []
    assert marked(mail) == []


def test_lines_of_servers_that_the_sender_wrote(tmp_path: Path) -> None:
    """They count in what was delivered, and not in what stands there: its size proves nothing."""
    mail = Mail(tmp_path, downloaded="read")
    mail.deliver(1)
    path = mail.copies()[1]
    path.write_bytes(b"X-Status: \n" + path.read_bytes())
    mail.deliver(22222, log=False)
    mail.pop3(deleted=(1,))
    mail.look()
    assert marked(mail) == []
