"""The command line: parses arguments, calls one function, prints.

Each command lives in a module of its own beside this one and is imported when it is called, so
that no command pays for another's libraries. Only this package prints and only it imports click.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from mdeliver import __version__
from mdeliver.outcome import one_line

COMMANDS = (
    ("demo", "mdeliver.cli.demo"),
    ("check", "mdeliver.cli.check"),
    ("test", "mdeliver.cli.test"),
    ("convert", "mdeliver.cli.convert"),
    ("apply", "mdeliver.cli.apply"),
    ("log", "mdeliver.cli.log"),
    ("deliver", "mdeliver.cli.deliver"),
    ("lmtp", "mdeliver.cli.lmtp"),
    ("pop-sync", "mdeliver.cli.pop_sync"),
    ("bcc-maps", "mdeliver.cli.bcc_maps"),
    ("postfix", "mdeliver.cli.postfix"),
    ("dkim", "mdeliver.cli.dkim"),
    ("audit", "mdeliver.cli.audit"),
    ("rejects", "mdeliver.cli.rejects"),
    ("report", "mdeliver.cli.report"),
)
"""Name of each command and the module that has it as `command`, in the order of a first day."""


class _Commands(click.Group):
    """The commands; what they complain of is printed so that a terminal obeys nothing in it.

    Names of files are among it, and a `*` of the shell's takes those that others have made.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            raise _printable(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _printable(error) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _module in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, module in COMMANDS:
            if name == cmd_name:
                command = import_module(module).command
                assert isinstance(command, click.Command)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] in names or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        close = get_close_matches(args[0], names, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}."
        raise click.UsageError(f"there is no command {args[0]}; {hint}", ctx)


def _printable(error: click.ClickException) -> click.ClickException:
    """ERROR, with its lines, but no other control character."""
    said = "\n".join([one_line(line) for line in error.message.split("\n")])
    # click's types have it Final.
    vars(error)["message"] = said
    return error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The manual is mdeliver(1); the rules are in mdeliver-rules(5).",
)
@click.version_option(__version__, message="%(prog)s %(version)s", prog_name="mdeliver")
def main() -> None:
    """Local mail delivery agent for Postfix: a message in, two places out, and the reason why."""
