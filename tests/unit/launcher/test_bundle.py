"""The bundle: used where it is sound and this interpreter's, and never missed where it is not."""

from __future__ import annotations

import marshal
import subprocess
import sys
import sysconfig
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from launcher import bundle
from tests.installation import lacking
from tests.launchers import DONE, ROOT

BOOTSTRAP = (ROOT / "launcher" / "bootstrap.py").read_text()

SAY_WHENCE = """\
def fused(arguments):
    import os
    os.write(1, b"%s")
    os._exit({DONE})
""".replace("{DONE}", str(DONE))

FAIL = """\
def fused(arguments):
    import traceback
    try:
        1 // 0
    except ArithmeticError:
        print(traceback.format_exc(), flush=True)
"""


SAY_FILE_OF_OTHER = """\
def fused(arguments):
    import mdeliver.cli.test
    print(mdeliver.cli.test.__file__, flush=True)
"""


def make_package(prefix: Path, **sources: str) -> Path:
    """A package mdeliver below PREFIX, where bootstrap.py looks for it."""
    version = "python{}.{}".format(*sys.version_info)
    package = prefix / "lib" / version / "site-packages" / "mdeliver"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, source in sources.items():
        file = package / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    return package


def started(prefix: Path) -> str:
    """What the agent prints that bootstrap.py starts."""
    python = Path(sys.executable).resolve()
    done = subprocess.run(
        [python, "-I", "-S", "-c", BOOTSTRAP, prefix, "deliver"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        text=True,
    )
    return done.stdout


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """A bundle whose agent says "bundle", beside sources whose agent says "source"."""
    bundle.make(make_package(tmp_path, __main__=SAY_WHENCE % "bundle"), tmp_path)
    package = make_package(tmp_path / "prefix", __main__=SAY_WHENCE % "source")
    return (tmp_path / bundle.NAME).rename(package / bundle.NAME)


def test_a_sound_bundle_is_used(bundled: Path, tmp_path: Path) -> None:
    assert started(tmp_path / "prefix") == "bundle"


def test_a_missing_bundle_is_not_missed(bundled: Path, tmp_path: Path) -> None:
    bundled.unlink()
    assert started(tmp_path / "prefix") == "source"


def test_a_directory_in_its_place_is_not_used(bundled: Path, tmp_path: Path) -> None:
    bundled.unlink()
    bundled.mkdir()
    assert started(tmp_path / "prefix") == "source"


@pytest.mark.parametrize("kept", [0, 1, 16, 17, 100, -1000, -1])
def test_a_truncated_bundle_is_not_used(bundled: Path, tmp_path: Path, kept: int) -> None:
    bundled.write_bytes(bundled.read_bytes()[:kept])
    assert started(tmp_path / "prefix") == "source"


def test_another_interpreters_bundle_is_not_used(bundled: Path, tmp_path: Path) -> None:
    octets = bundled.read_bytes()
    bundled.write_bytes(bytes([octets[0] ^ 1]) + octets[1:])
    assert started(tmp_path / "prefix") == "source"


@pytest.mark.parametrize("content", [b"\xff" * 1000, bytes(1000), marshal.dumps((1, 2))])
def test_a_bundle_with_other_content_is_not_used(
    bundled: Path, tmp_path: Path, content: bytes
) -> None:
    bundled.write_bytes(MAGIC_NUMBER + content)
    assert started(tmp_path / "prefix") == "source"


def test_a_traceback_names_file_and_line_and_shows_it(tmp_path: Path) -> None:
    package = make_package(tmp_path, __main__=FAIL)
    bundle.make(package, package)
    shown = started(tmp_path)
    assert f'File "{package}/__main__.py", line 4, in fused\n    1 // 0\n' in shown


def test_what_a_bundle_leaves_out_is_imported_as_ever(tmp_path: Path) -> None:
    sources = {"__main__": SAY_FILE_OF_OTHER, "cli.__init__": "", "cli.test": ""}
    package = make_package(tmp_path, **sources)
    bundle.make(package, package)
    assert [module.name for module in bundle.modules(package)] == ["mdeliver", "mdeliver.__main__"]
    assert started(tmp_path) == f"{package}/cli/test.py\n"


def test_types_of_arguments_are_left_out_and_those_of_fields_kept() -> None:
    source = "from __future__ import annotations\nclass C:\n    x: A\ndef f(x: B) -> C: ...\n"
    names: dict[str, object] = {"__name__": "m"}
    exec(bundle.compiled(source, "m.py"), names)  # noqa: S102
    assert vars(names["C"])["__annotations__"] == {"x": "A"}
    assert vars(names["f"]) == {}
    assert names["f"].__annotations__ == {}
    assert "annotations" not in names


def test_the_installed_bundle_is_made_of_the_installed_sources() -> None:
    package = Path(sysconfig.get_path("platlib")) / "mdeliver"
    if not package.exists():
        lacking("mdeliver is not installed here (make install)")
    octets = (package / bundle.NAME).read_bytes()
    assert octets.startswith(MAGIC_NUMBER)
    _start, installed = marshal.loads(octets[len(MAGIC_NUMBER) :])
    # Not the octets: marshal writes equal code in more than one way.
    made_now = [tuple(module) for module in bundle.modules(package)]
    assert installed == made_now, "it is stale: make install"


def test_modules_come_after_what_they_import(tmp_path: Path) -> None:
    package = make_package(
        tmp_path,
        **{
            "__main__": "from mdeliver import late\ndef f():\n    import mdeliver.rare\n",
            "late": "import mdeliver.inner.early\nfrom time import time\n",
            "rare": "",
            "inner.__init__": "",
            "inner.early": "if TYPE_CHECKING:\n    import mdeliver.rare\n",
        },
    )
    assert [module.name for module in bundle.modules(package)] == [
        "mdeliver",
        "mdeliver.inner",
        "mdeliver.inner.early",
        "mdeliver.late",
        "mdeliver.__main__",
    ]


def test_a_module_that_fails_is_imported_again_as_usual(tmp_path: Path) -> None:
    sources = {"__main__": "import mdeliver.other\n" + SAY_WHENCE % "source", "other": "1 // 0"}
    package = make_package(tmp_path, **sources)
    bundle.make(package, package)
    assert "ZeroDivisionError" in started(tmp_path)
    (package / "other.py").write_text("")
    assert started(tmp_path) == "source"
