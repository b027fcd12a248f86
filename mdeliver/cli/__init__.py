"""The command line: parses arguments, calls one function, prints.

Each command lives in a module of its own beside this one and is imported when it is called, so
that no command pays for another's libraries. Only this package prints and only it imports click.
"""

from __future__ import annotations

from importlib import import_module

import click

from mdeliver import __version__

COMMANDS = (
    ("check", "mdeliver.cli.check"),
    ("deliver", "mdeliver.cli.deliver"),
    ("demo", "mdeliver.cli.demo"),
    ("test", "mdeliver.cli.test"),
)
"""Name of each command and the module that has it as `command`."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _module in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, module in COMMANDS:
            if name == cmd_name:
                command = import_module(module).command
                assert isinstance(command, click.Command)
                return command
        return None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mdeliver")
def main() -> None:
    """Local mail delivery agent: a message in, two places out, and the reason why."""
