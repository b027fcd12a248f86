"""Every limit in one place: what it bounds, its unit, and what happens when it is reached.

A limit that a message reaches makes the plain test false and is named in the trace; it never
stops the delivery. A limit that an administrator's file reaches is an error in that file.
"""

from __future__ import annotations

# --- the message -----------------------------------------------------------------------------
HEAD_BYTES = 512 << 10
"""Bytes of the head that tests can see. Postfix itself passes 100 KB (header_size_limit)."""

HEADER_LINES = 10_000
"""Lines of the head, folds not counted, that tests can see."""

MEMORY_BYTES = 256 << 10
"""Messages up to this size stay in memory while they are delivered; larger ones are spooled."""

COPY_BYTES = 128 << 10
"""Size of the one buffer through which a larger message is copied."""

FLOW_BYTES = 2 << 20
"""So much of a larger message is written before the disk is told to begin with it."""

ADDRESSES = 5000
"""Addresses read from all header fields that a test asks for."""

ADDRESS_TEXT = 64 << 10
"""Bytes of all these fields that are looked through for addresses."""

FIELD_TEXTS = 5000
"""Texts of one field that a test looks at: each of them costs, however short it is."""

RESULTS_TEXT = 64 << 10
"""Bytes of all Authentication-Results that are read; what follows them is not believed."""

ENCODED_WORDS = 10_000
"""RFC 2047 words decoded in all header fields of one name; the rest stands as it is."""

HEADER_TEXT = 8000
"""Characters that a rule can put into one header field; encoded they take up to 27 KB."""

SAID_TEXT = 1000
"""Characters of what a rule says to the sender, the MTA or the log."""

MIME_BYTES = 32 << 20
"""Bytes of a body in which parts are looked for."""

MIME_PARTS = 1000
"""Parts of one message that are looked at."""

MIME_LINES = 50_000
"""Lines of a body beginning with `--` that are looked at: each could end a part."""

MIME_DEPTH = 32
"""How deep parts may stand within parts."""

MIME_HEAD = 16 << 10
"""Bytes of the head of one part."""

MIME_HEADS = 128 << 10
"""Bytes of the heads of all parts together."""

BODY_TEXT = 512 << 10
"""Characters of all text parts together that `body` sees."""

HTML_TAGS = 50_000
"""Tags, and entities, of one HTML part that are looked at."""

# --- who sent it -----------------------------------------------------------------------------
DNS_QUESTIONS = 200
"""Questions to the DNS about one message; what the next would have found is temperror."""

DNS_TEXT = 8 << 10
"""Octets of one TXT record; longer ones are as if they were not there."""

DNS_KEPT = 1000
"""Answers that a process keeps for their TTL."""

DNS_SERVER_S = 3
"""How long one name server may take before the next is asked."""

DNS_ALIASES = 8
"""Aliases (CNAME) that are followed in a zone file."""

SIGNED_BYTES = 32 << 20
"""Size of a message whose signatures are checked; those of larger ones are neutral."""

SIGNATURES_S = 20
"""How long all signatures and seals of one message may take; those after that are temperror. Each
takes a look at the whole body."""

SIGNATURES = 8
"""DKIM signatures of one message that are checked, from the top; those below are not looked at."""

SIGNATURE_BYTES = 8 << 10
"""Octets of one signature's field; a longer one is neutral."""

SIGNED_FIELDS = 120
"""Fields that one signature names: each is looked for in the whole header."""

SIGNED_FOLDS = 5000
"""Lines by which fields of a header go on whose signatures are checked; those of a header with more
are neutral."""

SEALS = 20
"""ARC sets of one message; a longer chain has failed (RFC 8617 allows 50, mail has 3)."""

KEY_BITS = 4096
"""Size of an RSA key beyond which no signature is checked: anyone can publish a key that takes
minutes."""

AUTHORS = 5
"""Domains of addresses in From that DMARC is checked for; with more of them it has failed."""

# --- the rules -------------------------------------------------------------------------------
RULES_BYTES = 4 << 20
"""Size of one rules file."""

TABLE_LINE = 1000
"""Characters of one line of a `lines of` file; RULES_BYTES bounds the whole file."""

INCLUDE_DEPTH = 16
"""How deep rules files may include one another."""

BRACE_CHARACTERS = 1000
"""Between { and }: what is longer is no name. Four million { without a } must not take minutes."""

NESTING_DEPTH = 64
"""How deep blocks, parentheses and `not` may nest: a parser that recurses must stop somewhere."""

INCLUDES = 1000
"""Rules files read for one program, each as often as it is included."""

FINDINGS = 200
"""Findings noted per rules file; whoever has more of them wants to see the first ones."""

FOLDER_STEP_BYTES = 200
"""Length of one folder step on disk: file names end at 255, and Maildir++ joins the steps."""

CACHE_BYTES = 16 << 20
"""Size of the file with a user's checked rules; a larger program is compiled for each message."""

CASES_S = 60
"""How long cases that are required may take, all together, before changed rules are refused."""

CASES_AGAIN_S = 600
"""How long rules stay refused whose cases could not be tried, or not in time, before they are tried
again: it may have been the host's fault."""

ACCEPTED_BYTES = 64 << 20
"""Size of the file with the rules that were accepted last; larger ones are tried each time."""

# --- programs ------------------------------------------------------------------------------
PROGRAM_S = 240
"""How long a program that rules name may run; below LOCK_WAIT_S, since mboxes stay locked while
`pipe to` does its work, and far below DEADLINE_S."""

FILTERS_S = 360
"""How long all filters of one delivery may run together; those after that are not run, so that the
message is delivered as it is before DEADLINE_S, and not deferred until it bounces."""

PROGRAM_GRACE_S = 2
"""What a program has between SIGTERM and SIGKILL once its time is over."""

PROGRAM_GROWTH_BYTES = 32 << 20
"""By how much what a filter gives may be longer than the message; beyond that the filter failed."""

PROGRAM_WORDS_BYTES = 4 << 10
"""Bytes of a program's standard error that are looked at for its first line; it may write more."""

PROGRAM_WORDS = 200
"""Characters of that line that are told."""

ARGUMENT_BYTES = 16 << 10
"""Length of one argument of a program: what a message brings in beyond that is cut off. The
kernel refuses 128 KB, and then no later try could do better."""

FILTERED_KEPT_S = 30 * 24 * 3600
"""What a filter made is kept so long for a retry that never comes; Postfix gives up in 5 days."""

# --- the decision log ------------------------------------------------------------------------
LOG_TEXT = 500
"""Octets of a subject, a Message-ID or a Received that are looked at for the decision log."""

# --- sent copies -----------------------------------------------------------------------------
TAGS_BYTES = 256 << 20
"""Size of the table of tags: three million of them. What lies behind that is not found."""

# --- the stores ------------------------------------------------------------------------------
LOCK_WAIT_S = 300
"""How long a delivery waits for a lock before it defers; Postfix's own limit is 1000 s."""

LOCK_WAIT_TOGETHER_S = 1
"""Likewise for messages that are delivered together; then each waits by itself."""

DEADLINE_S = 900
"""A delivery that lasts longer ends itself: at 1000 s (command_time_limit) Postfix would bounce."""

AFTERWARDS_S = 60
"""How long a worker writes its logs once it has told a message's fate."""

SYNCED_TOGETHER = 16
"""New files of one message that are open at once, to be synced together; more are synced singly."""

JOURNAL_BYTES = 1 << 20
"""A journal longer than this is rewritten with its newest half."""

REMEMBERED_BYTES = 4 << 20
"""Size of the memory of messages delivered and replies sent: 100 000 of them, the oldest go."""

DAMAGED_BYTES = 8 << 20
"""So much of a damaged state file is kept beside it, from its beginning."""

# --- replies ---------------------------------------------------------------------------------
REPLY_TEXT = 32 << 10
"""Characters of the text of an automatic reply; a longer one is an error in the rules."""

REFERENCES_TEXT = 2000
"""Characters of a reply's References; what is older goes."""

# --- LMTP ------------------------------------------------------------------------------------
LMTP_COMMAND_BYTES = 4096
"""A command line; MAIL with all its parameters has room in it."""

LMTP_REPLY_BYTES = 500
"""A reply line is cut there; RFC 5321 gives it 512 with its end."""

LMTP_RECIPIENTS = 1000
"""Recipients of one message; further ones are told 452 and come again."""

LMTP_ERRORS = 20
"""Mistakes in commands before a session is ended; recipients that do not exist are none."""

LMTP_COMMANDS = 5000
"""Commands of a session without a message."""

LMTP_HEAD_BYTES = 2 << 20
"""Bytes of a message's head that are accepted."""

LMTP_LINE_BYTES = 4 << 20
"""Bytes of a line in a message; RFC 5321 gives it 1000, and much mail has more."""
