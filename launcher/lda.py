#!/bin/sh
# mdeliver-lda where no C compiler was found: the same contract as lda.c, which has the reasons.
#
# First read by the shell, which passes on only what the table says, so that a Python that cannot
# start does not bounce a letter; then the same file is read by Python. What is lost beside the
# native fuse: the shell itself can fail to start, and a delivery costs two more processes.
""":"
own=$(readlink -f "$0") || own=$0
bin=${own%/*}
"$bin/python3" -I -S "$own" "$bin" "$@"
case $? in
    40) exit 0 ;;
    77) exit 77 ;;
esac
exit 75
"""

import posix
import signal
import sys

AGENT_DONE = 40
REJECTIONS = (77,)
EX_TEMPFAIL = 75
AGENT_LIMIT_S = 950
FUSE_LIMIT_S = 970
LINE_BYTES = 1000

# What loaders, allocators and libc obey. The shell and the Python of this file were started with
# it: only the launcher in C keeps it from everything.
UNSAFE = (
    b"LD_", b"PYTHON", b"MALLOC_", b"GLIBC_TUNABLES=", b"GCONV_PATH=", b"GETCONF_DIR=",
    b"HOSTALIASES=", b"LOCALDOMAIN=", b"LOCPATH=", b"NIS_PATH=", b"NLSPATH=",
    b"RESOLV_HOST_CONF=", b"RES_OPTIONS=", b"TMPDIR=", b"TZDIR=",
)

BOOTSTRAP = """\
@BOOTSTRAP@"""


def status_class(line):
    """The class of "D.S.N text" (RFC 3463), "4" or "5"; "" where LINE is no such line."""
    code, _, text = line.partition(b" ")
    parts = code.split(b".")
    well_formed = len(parts) == 3 and all(p.isdigit() and len(p) <= 3 for p in parts)
    return parts[0].decode() if well_formed and text and parts[0] in (b"4", b"5") else ""


def say(line, status):
    """Writes the one line that Postfix reads; a line that nobody reads changes nothing."""
    shown = bytes(0x3F if c < 0x20 or c == 0x7F else c for c in line[:LINE_BYTES])
    try:
        posix.write(1, shown + b"\n")
    except OSError:
        pass
    return status


def conclude(wait_status, output):
    """The agent ended otherwise than with AGENT_DONE: what Postfix is told."""
    signalled, status = wait_status & 0x7F, wait_status >> 8 & 0xFF
    _, reported, text = output.rpartition(b"\0")
    if reported and not signalled:
        line = text.partition(b"\n")[0] or b"mdeliver: no reason given"
        kind = status_class(line)
        if kind == "5" and status in REJECTIONS:
            return say(line, status)
        return say(line if kind == "4" else b"4.3.0 " + line, EX_TEMPFAIL)
    how = b"by signal %d" % signalled if signalled else b"with status %d" % status
    line = b"4.3.0 mdeliver: the delivery agent ended %s; the message stays in the queue" % how
    last = b"" if reported else output.rstrip(b"\n ").rpartition(b"\n")[2]
    return say(line + b": " + last if last else line, EX_TEMPFAIL)


def become_agent(report, bin_directory, arguments):
    """Becomes the agent, or reports why not."""
    python = bin_directory + "/python3"
    prefix = bin_directory.rpartition("/")[0] or "/"
    try:
        signal.alarm(AGENT_LIMIT_S)
        posix.dup2(report, 1)
        posix.dup2(report, 2)
        command = [python, "-I", "-S", "-c", BOOTSTRAP, prefix, "deliver", *arguments]
        kept = {k: v for k, v in posix.environ.items() if not (k + b"=").startswith(UNSAFE)}
        posix.execve(python, command, kept)
    except BaseException as error:
        line = b"\x004.3.0 mdeliver: cannot run " + f"{python}: {error}\n".encode()
        posix.write(report, line)
    finally:
        posix._exit(EX_TEMPFAIL)


def fuse():
    """Runs the agent; returns the status for the shell above."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(FUSE_LIMIT_S)
    try:
        posix.fstat(0)
    except OSError:
        return say(b"4.3.0 mdeliver: standard input is closed; the message stays in the queue", 75)
    while (null := posix.open("/dev/null", posix.O_RDWR)) <= 2:
        posix.set_inheritable(null, True)
    posix.close(null)
    result, report = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    child = posix.fork()
    if child == 0:
        become_agent(report, sys.argv[1], sys.argv[2:])
    posix.close(report)
    wait_status = posix.waitpid(child, 0)[1]
    if wait_status == AGENT_DONE << 8:
        return AGENT_DONE
    output = b""
    try:
        while piece := posix.read(result, 4096):
            output += piece  # the pipe's capacity bounds it
    except BlockingIOError:
        pass  # a grandchild still holds the pipe open
    return conclude(wait_status, output)


try:
    posix._exit(fuse())
except BaseException as error:
    say(f"4.3.0 mdeliver: {error}; the message stays in the queue".encode(), 75)
finally:
    posix._exit(EX_TEMPFAIL)
