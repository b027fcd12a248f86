from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.lmtp.settings import Lmtp, load_lmtp, parse_address
from mdeliver.outcome import Deferral
from mdeliver.settings import load_site


def load(path: Path, text: str) -> Lmtp:
    path.write_text(text)
    return load_lmtp(str(path))


def test_defaults(tmp_path: Path) -> None:
    assert load_lmtp("/dev/null") == Lmtp()
    assert load(tmp_path / "some", "[site]\nhostname = 'x'\n") == Lmtp()


def test_what_is_set(tmp_path: Path) -> None:
    path = tmp_path / "toml"
    found = load(path, '[lmtp]\nlisten = ["inet:[::1]:24"]\nslow_s = 7\nusers = "virtual"\n')
    assert found == Lmtp(listen=("inet:[::1]:24",), slow_s=7, users="virtual")
    # Deliveries read the same file, and leave this table alone.
    assert load_site(str(path)).recipient_delimiter == "+"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("lmtp = 3", "lmtp"),
        ("[lmtp]\ncolour = 1", "lmtp.colour"),
        ("[lmtp]\nlisten = 'unix:/x'", "lmtp.listen"),
        ("[lmtp]\nlisten = ['/x']", "lmtp.listen"),
        ("[lmtp]\nlisten = ['inet:127.0.0.1:0']", "lmtp.listen"),
        ("[lmtp]\nslow_s = 0", "lmtp.slow_s"),
        ("[lmtp]\nslow_s = true", "lmtp.slow_s"),
        ("[lmtp]\nslow_s = '7'", "lmtp.slow_s"),
        ("[lmtp]\nfirst_uid = 0", "lmtp.first_uid"),
        ("[lmtp]\nfirst_uid = 4294967295", "lmtp.first_uid"),
        ("[lmtp]\nworker_idle_s = 99999999", "lmtp.worker_idle_s"),
        ("[lmtp]\nmemory_mb = 1", "lmtp.memory_mb"),
        ("[lmtp]\nmemory_mb = 99999999999999", "lmtp.memory_mb"),
        ("[lmtp]\nfiles = 5", "lmtp.files"),
        ("[lmtp]\nusers = 'all'", "lmtp.users"),
        ("[lmtp]\nusers = 7", "lmtp.users"),
        ("[lmtp]\nsocket_mode = '0888'", "lmtp.socket_mode"),
        ("[lmtp]\nsocket_mode = ''", "lmtp.socket_mode"),
        ("[lmtp]\ntrusted = ['here']", "lmtp.trusted"),
        ("[lmtp]\ntls_key = '/key'", "lmtp.tls_certificate"),
        ("[lmtp]\nlauncher = 'door'", "lmtp.launcher"),
        ("[lmtp]\nvirtual_users = ['users']", "lmtp.virtual_users"),
        ("[lmtp", "toml"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(Deferral) as refused:
        load(tmp_path / "toml", text)
    assert key in refused.value.text
    assert "\n" not in refused.value.text
    assert refused.value.status == "4.3.5"


def test_addresses() -> None:
    assert parse_address("unix:/run/x") == "/run/x"
    assert parse_address("inet:127.0.0.1:24") == ("127.0.0.1", 24)
    assert parse_address("inet:[::1]:24") == ("::1", 24)
