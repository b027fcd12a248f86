"""What loaders, allocators, libc and Python obey does not reach the agent; all else does."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.launchers import KINDS, Kind, build, installation, session_directory

SOURCES = Path(__file__).parents[3] / "launcher"

UNSAFE = {
    "LD_PRELOAD": "/nonexistent.so", "LD_LIBRARY_PATH": "/nonexistent", "LD_AUDIT": "/nonexistent",
    "LD_DEBUG_OUTPUT": "/nonexistent", "PYTHONPATH": "/nonexistent", "PYTHONHOME": "/nonexistent",
    "PYTHONSTARTUP": "/nonexistent", "PYTHONINSPECT": "1", "PYTHONUSERBASE": "/nonexistent",
    "PYTHONMALLOC": "debug", "PYTHONWARNINGS": "error", "MALLOC_PERTURB_": "7",
    "MALLOC_TRACE": "/nonexistent", "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "GCONV_PATH": "/nonexistent", "LOCPATH": "/nonexistent", "NLSPATH": "/nonexistent",
    "HOSTALIASES": "/nonexistent", "RES_OPTIONS": "debug", "TMPDIR": "/nonexistent",
    "TZDIR": "/nonexistent", "NIS_PATH": "x", "LOCALDOMAIN": "x", "RESOLV_HOST_CONF": "x",
    "GETCONF_DIR": "/nonexistent",
}  # fmt: skip
KEPT = {
    "HOME": "/home/ann", "USER": "ann", "SENDER": "", "EXTENSION": "LD_PRELOAD=x", "TZ": "UTC",
    "LDAP": "kept", "MALLOC": "kept", "IFS": "x/", "X": "PYTHONPATH=x", "LC_ALL": "C.UTF-8",
}  # fmt: skip

TELLS = """
names = sorted(k for k in os.environ if k != 'LC_CTYPE')
os.write(1, b'\\x004.0.0 ' + repr([(k, os.environ[k]) for k in names]).encode() + b'\\n')
os._exit(75)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_agent_gets_none_of_it(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    launcher = build(kind, session_directory(tmp_path_factory))
    command = installation(tmp_path / "prefix", launcher, TELLS)
    # In turn, so that what is dropped stands before, between and after what is kept.
    mixed = dict(sorted((KEPT | UNSAFE).items(), key=lambda item: item[0][::-1]))
    done = subprocess.run(
        command, env=mixed, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    shown = done.stdout.decode()
    (told,) = re.findall(r"4\.0\.0 (.*)", shown)
    assert "/nonexistent" not in told
    for name in UNSAFE:
        assert f"('{name}'" not in told
    for name, value in KEPT.items():
        if name != "IFS":  # a shell, which stands before the launcher in Python, sets its own
            assert repr((name, value)) in told


def test_both_launchers_drop_the_same() -> None:
    in_c = re.search(r"unsafe\[\] =\n(.*?);", (SOURCES / "lda.c").read_text(), re.DOTALL)
    in_python = re.search(r"UNSAFE = \((.*?)\)", (SOURCES / "lda.py").read_text(), re.DOTALL)
    assert in_c is not None
    assert in_python is not None
    names = [name.removesuffix("\\0") for name in re.findall(r'"([^"]+)"', in_c[1])]
    assert names == re.findall(r'b"([^"]+)"', in_python[1])


def test_no_loader_runs_what_the_environment_names(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """A library that leaves a mark as soon as any program is started with it."""
    source, library, mark = tmp_path / "m.c", tmp_path / "m.so", tmp_path / "mark"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) static void leave(void)\n"
        f'{{ open("{mark}", O_WRONLY | O_CREAT, 0600); }}\n'
    )
    subprocess.run(
        [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source], check=True
    )
    environ = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": str(library)}
    subprocess.run(["/bin/true"], env=environ, check=True)
    assert mark.exists()

    mark.unlink()
    launcher = build(KINDS[0], session_directory(tmp_path_factory))
    command = installation(tmp_path / "prefix", launcher, "os._exit(40)")
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert not mark.exists()
