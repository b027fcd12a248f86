"""`mdeliver deliver --help`: what the delivery path takes, for people.

A delivery itself never comes here: __main__ takes it up before click is imported, which would cost
three times the interpreter's start. The options are those of intake.py, so that this page cannot
promise others.
"""

from __future__ import annotations

import click

from mdeliver.intake import OPTIONS

_HELP = """\
Deliver one message from standard input.

This is what mdeliver-lda runs for Postfix. In main.cf:

\b
    mailbox_command = /path/to/bin/mdeliver-lda

Who the message is for comes from the options, else from the environment that Postfix makes: USER,
HOME, SENDER, RECIPIENT, EXTENSION, SASL_USERNAME and so on.

The exit status is 0 once the message is in all its places, 77 only where a rule rejects it, and 75
for everything else, so that Postfix keeps the message and tries again. On failure one line says
why. A dry run is mdeliver test.
"""


def _never(**_options: str | None) -> None:
    raise click.UsageError("options of mdeliver deliver stand after the word deliver")


command = click.Command(
    "deliver",
    help=_HELP,
    short_help="Deliver one message from standard input.",
    params=[
        click.Option([f"--{name}"], metavar=value, help=f"{meaning[0].upper()}{meaning[1:]}.")
        for name, value, meaning in OPTIONS
    ],
    callback=_never,
)
