"""The envelope of one delivery: who it is for, who sent it, and what the MTA knows of the client.

Values come from Postfix's environment (local(8), ENVIRONMENT), from options, or from LMTP. They
are the MTA's word, not the message's: a rule may trust them as far as the MTA does.
"""

from __future__ import annotations

from mdeliver.record import Record


class SentTag(Record):
    """What the tag in a recipient's address says (sent/evidence.py).

    tag    the tag, or what stands in its place; "" where the address has none
    mine   whether it is the user's own and valid
    proof  whether it is, and the site says that tags are proof
    words  why, or why not
    """

    tag: str = ""
    mine: bool = False
    proof: bool = False
    words: str = ""


NO_TAG = SentTag()


class Envelope(Record):
    """One recipient's envelope.

    user                login name of the recipient
    home                absolute home directory
    uid                 numeric user id the delivery is for
    sender              envelope sender; "" is the null sender
    recipient           envelope recipient as the MTA delivers it, after aliases
    original_recipient  as the client gave it
    extension           what followed the recipient delimiter, else ""
    domain              domain of the recipient, else ""
    sasl_username       who authenticated when submitting it, else ""
    sasl_method         with what mechanism, else ""
    client_address      address of the SMTP client, else ""
    client_hostname     verified name of the SMTP client, else ""
    client_helo         what it said in HELO or EHLO, else ""
    client_protocol     SMTP, ESMTP, ... else ""
    queue_id            the MTA's name for the message, if it said so (XFORWARD IDENT), else ""
    sent_tag            what is known of the tag in a secret Sent address
    """

    user: str
    home: str
    uid: int
    sender: str = ""
    recipient: str = ""
    original_recipient: str = ""
    extension: str = ""
    domain: str = ""
    sasl_username: str = ""
    sasl_method: str = ""
    client_address: str = ""
    client_hostname: str = ""
    client_helo: str = ""
    client_protocol: str = ""
    queue_id: str = ""
    sent_tag: SentTag = NO_TAG
