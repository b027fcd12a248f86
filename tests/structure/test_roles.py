"""Only cli prints, only __main__ and cli exit, only durable touches mail files."""

from __future__ import annotations

import ast

import pytest

from tests.structure.source import MODULES, Module, calls

# Calls that change or open what is on disk, under any of the names that the package writes.
_FILE_CALLS = frozenset(
    f"{module}.{call}"
    for module in ("os", "posix", "system")
    for call in (
        *("open", "rename", "renames", "replace", "unlink", "remove", "link", "symlink", "mkfifo"),
        *("truncate", "ftruncate", "mkdir", "makedirs", "rmdir", "removedirs", "posix_fallocate"),
        *("write", "writev", "pwrite", "pwritev", "sendfile", "copy_file_range", "splice"),
        *("chmod", "fchmod", "chown", "fchown", "lchown", "utime"),
    )
) | {"open", "io.open", "shutil.move", "shutil.copy", "shutil.copyfile", "shutil.rmtree"}

# Who else may call which of them, and why.
ALLOWED = {
    ("mdeliver.durable", "*"): "the one place that touches mail files",
    ("mdeliver.rulesfile", "system.open"): "reads rules, which are the administrator's and no mail",
    ("mdeliver.dotlock", "system.open"): "the directory that the lock file goes into",
    ("mdeliver.__main__", "posix.open"): "/dev/null in the place of a closed descriptor",
    ("mdeliver.__main__", "posix.write"): "the one line that Postfix reads",
    ("mdeliver.history.steps", "system.open"): "reads the message that a copy is made of",
    ("mdeliver.history.held", "system.open"): "looks whether an mbox has a message",
    ("mdeliver.replay.stores", "system.open"): "reads the messages that it is asked about",
    ("mdeliver.popsync.links", "system.open"): "reads the message that may be what was downloaded",
    ("mdeliver.cli.convert", "os.open"): "reads what it converts, and does not wait at a FIFO",
    ("mdeliver.cli.convert", "open"): "the same",
    ("mdeliver.cli.output", "os.open"): "/dev/null in the place of a closed descriptor",
    ("mdeliver.popsync.site", "open"): "writes to the pipe between its own processes",
    ("mdeliver.lmtp.listeners", "os.chown"): "gives its socket to the MTA",
    ("mdeliver.lmtp.listeners", "os.chmod"): "and says who may connect",
    ("mdeliver.lmtp.rehearsal", "os.utime"): "rules of its own, in a directory of its own",
    ("mdeliver.lmtp.rehearsal", "shutil.rmtree"): "that directory",
    ("mdeliver.programs", "system.open"): "/dev/null, for output that nobody wants",
    ("mdeliver.sent.evidence", "system.open"): "reads the table of tags, which root wrote",
    ("mdeliver.sent.files", "os.fchmod"): "tables that others may read, whatever the umask",
    ("mdeliver.sent.files", "os.fchown"): "a file that is replaced stays its owner's",
    ("mdeliver.sent.keys", "os.open"): "looks at a key file before it is read",
    ("mdeliver.sent.tables", "os.open"): "syncs what postmap made",
    ("mdeliver.sent.tables", "os.fchmod"): "what postmap made, as secret as its text",
    ("mdeliver.sent.server", "os.chown"): "the socket, for Postfix's group",
    ("mdeliver.dkim.keys", "os.chown"): "keys, which the group of the signing milter may read",
    ("mdeliver.dkim.keys", "os.chmod"): "and nobody else",
    (
        "mdeliver.dkim.setup",
        "os.chown",
    ): "the directory of the milter's socket, for Postfix's group",
    ("mdeliver.dkim.setup", "os.chmod"): "and whoever it lets in",
    ("mdeliver.postfix.logfiles", "open"): "reads Postfix's log, which is no mail",
    ("mdeliver.sent.server", "os.chmod"): "the socket, for Postfix's group",
}

_EXITS = frozenset(
    {"sys.exit", "os._exit", "posix._exit", "system._exit", "os.abort", "exit", "quit"}
)
_PROCESSES = (
    "os.fork",
    "system.fork",
    "os.system",
    "os.popen",
    "os.exec",
    "os.spawn",
    "os.posix_spawn",
)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_durable_touches_files(module: Module) -> None:
    wrong = [
        f"{module.path}:{line}: {call}; durable.py has or gets a function for it"
        for call, line in calls(module.tree)
        if call in _FILE_CALLS
        and (module.name, call) not in ALLOWED
        and (module.name, "*") not in ALLOWED
        and not _within(module.name, "mdeliver.cli.demo")  # makes and shows its own temporary home
    ]
    assert not wrong, "\n".join(wrong)


def test_the_list_of_exceptions_is_not_longer_than_it_must_be() -> None:
    seen = {(m.name, call) for m in MODULES for call, _ in calls(m.tree)}
    stale = [entry for entry in ALLOWED if entry[1] != "*" and entry not in seen]
    assert stale == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_cli_prints(module: Module) -> None:
    if _within(module.name, "mdeliver.cli"):
        return
    wrong = [
        f"{module.path}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "input"))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_main_and_the_command_line_exit(module: Module) -> None:
    if module.name == "mdeliver.__main__" or _within(module.name, "mdeliver.cli"):
        return
    if module.name == "mdeliver.programs":
        # A child of ours, where it cannot become the program that it was made for.
        assert {c for c, _ in calls(module.tree) if c in _EXITS} == {"system._exit"}
        return
    if module.name in ("mdeliver.lmtp.master", "mdeliver.popsync.site"):
        return  # their forked children end so
    wrong = [f"{module.path}:{line}: {c}" for c, line in calls(module.tree) if c in _EXITS]
    wrong += [
        f"{module.path}:{node.lineno}: raises SystemExit"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and node.exc and "SystemExit" in ast.unparse(node.exc)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_shell_and_no_process_but_from_deliver(module: Module) -> None:
    wrong = [
        f"{module.path}:{line}: {call}"
        for call, line in calls(module.tree)
        # The masters' children are the servers' own processes.
        if module.name not in ("mdeliver.lmtp.master", "mdeliver.popsync.site")
        and call.startswith(_PROCESSES)
        and not _within(module.name, "mdeliver.deliver")
        and (module.name, call) != ("mdeliver.programs", "system.fork")
    ]
    assert not wrong, "\n".join(wrong)
