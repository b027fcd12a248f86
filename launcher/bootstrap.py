# Starts the agent; both launchers carry this text. argv: PREFIX, then the command line.
# -I -S: no user site, no PYTHON* variables, no .pth files. The package's place goes first, so
# that its import does not look through the standard library's directory before it.
import posix
import sys

try:
    prefix = sys.argv[1] + "/"
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for place in (
        "lib/" + python + "/site-packages",
        "lib64/" + python + "/site-packages",
        "lib/" + python + "/dist-packages",
        "lib/python3/dist-packages",
    ):
        try:
            posix.stat(prefix + place + "/mdeliver/__main__.py")
        except OSError:
            continue
        sys.path.insert(0, prefix + place)
        break
    from mdeliver.__main__ import fused

    fused(sys.argv[2:])
except BaseException as error:
    line = f"\0004.3.0 mdeliver: {type(error).__name__}: {error}\n"
    posix.write(1, line.encode("utf-8", "backslashreplace"))
finally:
    posix._exit(75)
