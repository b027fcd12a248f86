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
    # What every delivery imports comes out of one file (bundle.py). Where that is missing, broken
    # or another Python's, modules are imported as usual: slower, and that is all the difference.
    try:
        import gc
        import marshal
        from _frozen_importlib_external import MAGIC_NUMBER

        gc.disable()  # a process of milliseconds has no garbage worth looking for
        bundle = f"{sys.path[0]}/mdeliver/bundle.{sys.implementation.cache_tag}"
        descriptor = posix.open(bundle, posix.O_RDONLY | posix.O_CLOEXEC)
        octets = posix.read(descriptor, posix.fstat(descriptor).st_size)
        posix.close(descriptor)
        if octets.startswith(MAGIC_NUMBER):
            start, modules = marshal.loads(memoryview(octets)[len(MAGIC_NUMBER) :])
            exec(start, {"modules": modules})
    except Exception:
        pass
    from mdeliver.__main__ import fused

    fused(sys.argv[2:])
except BaseException as error:
    line = f"\0004.3.0 mdeliver: {type(error).__name__}: {error}\n"
    posix.write(1, line.encode("utf-8", "backslashreplace"))
finally:
    posix._exit(75)
