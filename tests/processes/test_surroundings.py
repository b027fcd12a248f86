"""What a delivery is started with: umask, limits, variables. Delivered once, or deferred."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lmtpserver import Server
from tests.local8 import Answer, hand_over
from tests.processes.conftest import STORES, Home
from tests.waiting import wait_for


def deliver_by(home: Home, *before: str, **environ: str) -> Answer:
    """A delivery whose command begins with BEFORE."""
    return hand_over([*before, *home.command], home.handed(), home.environ | environ, home.person)


# --- umask -------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", ["0000", "0022", "0777"])
def test_whatever_the_umask_the_mail_is_its_owners_alone(either: Home, umask: str) -> None:
    answer = deliver_by(either, "/bin/sh", "-c", f'umask {umask}; exec "$@"', "sh")
    assert answer.verdict == "sent", answer
    assert either.holds_once()
    for path in either.path.rglob("*"):
        if ".config" in path.parts:
            continue  # the test's own
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


# --- limits ------------------------------------------------------------------------------------

LIMITS = (
    "--nofile=3", "--nofile=6", "--nofile=9", "--nofile=12", "--nproc=0", "--stack=16384",
    "--stack=131072", "--data=1000000", "--as=20000000", "--rss=0", "--memlock=0", "--core=0",
    "--sigpending=0", "--msgqueue=0", "--locks=0", "--fsize=0", "--fsize=100",
)  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS)
def test_under_any_limit_it_is_delivered_once_or_deferred(home: Home, limit: str) -> None:
    answer = deliver_by(home, "/usr/bin/prlimit", limit)
    assert answer.verdict in ("sent", "deferred"), answer
    if answer.verdict == "deferred":
        assert home.is_empty
        assert deliver_by(home).verdict == "sent"
    assert home.holds_once()


# --- variables ---------------------------------------------------------------------------------


def hostile_environment(top: Path, mark: Path) -> dict[str, str]:
    """Variables that have some program do more than it should; what they name leaves MARK."""
    evil = top / "evil"
    evil.mkdir()
    leaves = f"open({str(mark)!r}, 'w')\n"
    for name in ("sitecustomize", "usercustomize", "mdeliver", "time", "fcntl", "encodings"):
        (evil / f"{name}.py").write_text(leaves)
    (evil / "shell").write_text(f": > {mark}\n")
    for made in (evil, *evil.iterdir()):
        made.chmod(0o755)
    return {
        "PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": f"{evil}/time.py",
        "PYTHONUSERBASE": str(evil), "PYTHONINSPECT": "1", "PYTHONDEBUG": "1",
        "PYTHONVERBOSE": "1", "PYTHONBREAKPOINT": "time.sleep", "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-16", "PYTHONPYCACHEPREFIX": str(evil), "PYTHONUTF8": "nonsense",
        "PYTHONHASHSEED": "nonsense", "PYTHONMALLOC": "nonsense", "LD_PRELOAD": f"{evil}/none.so",
        "LD_LIBRARY_PATH": str(evil), "LD_AUDIT": f"{evil}/none.so", "LD_BIND_NOW": "1",
        "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "7",
        "IFS": "/", "ENV": f"{evil}/shell", "BASH_ENV": f"{evil}/shell", "SHELLOPTS": "xtrace",
        "PS4": f"$(: > {mark})", "CDPATH": str(evil), "PATH": str(evil), "TMPDIR": str(evil),
        "LOCPATH": str(evil), "LC_ALL": "../../evil", "LANGUAGE": "../evil", "NLSPATH": str(evil),
        "XDG_CONFIG_HOME": "evil", "XDG_STATE_HOME": "../evil", "XDG_CACHE_HOME": "evil",
        "MDELIVER_LDA": str(evil), "GCONV_PATH": str(evil), "TZ": f":{evil}/shell",
    }  # fmt: skip


def test_no_variable_changes_what_the_launcher_does(home: Home) -> None:
    mark = home.path.parent / "mark"
    environ = hostile_environment(home.path.parent, mark)
    home.write_rules('run "/bin/sh" "-c" "env > ~/seen; IFS=; :"\n'.replace("~", str(home.path)))
    answer = deliver_by(home, **environ)
    assert answer == Answer(0, b"")
    assert home.holds_once()
    assert not mark.exists()
    seen = dict(line.split("=", 1) for line in (home.path / "seen").read_text().splitlines())
    assert not {name for name in environ if name not in ("PATH", "TZ")} & set(seen)
    assert seen["PATH"] != environ["PATH"]


def test_nothing_of_the_servers_environment_reaches_programs(make: Callable[..., Server]) -> None:
    server = make()
    mark = server.top / "mark"
    environ = hostile_environment(server.top, mark)
    # Python's own and the loader's are believed by whoever starts the server, who is root.
    kept = {k: v for k, v in environ.items() if not k.startswith(("PYTHON", "LD_", "GCONV", "LC_"))}
    seen = server.home("ann") / "seen"
    server.write_rules("ann", f'{STORES}run "/bin/sh" "-c" "env > {seen}"\n')
    server.start(env={"PATH": "/usr/bin:/bin"} | {k: v for k, v in kept.items() if k != "PATH"})
    with server.client() as client:
        assert [reply.code for reply in client.deliver("ann@example.org")] == [250]
    wait_for(lambda: seen.exists() and seen.read_text().endswith("\n"), "the program to end")
    assert not mark.exists()
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert not {name for name in kept if name not in ("PATH", "TZ")} & names


def test_files_in_the_home_are_no_modules(home: Home) -> None:
    """Not even where the home is the working directory."""
    mark = home.path.parent / "mark"
    for name in ("sitecustomize.py", "mdeliver.py", "time.py", "re2.py", "pyvenv.cfg"):
        made = home.path / name
        made.write_text(f"open({str(mark)!r}, 'w')\n")
        home.give(made)
    answer = hand_over(home.command, home.handed(), home.environ, home.person, cwd=str(home.path))
    assert answer == Answer(0, b"")
    assert home.holds_once()
    assert not mark.exists()
