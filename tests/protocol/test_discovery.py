# SPDX-License-Identifier: Apache-2.0
"""The connection file, the proofs, and the note beside a plugin."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pid_client.place import NOTE, Place, read_place
from pid_protocol import auth, discovery
from pid_protocol.discovery import ConnectionInfo
from pid_protocol.errors import ConnectError, DaemonNotRunning

INFO = ConnectionInfo(
    ("ipc:///run/x/s", "tcp://127.0.0.1:4711"), "ab" * 32, 1, "0.1.0", 42, discovery.boot_id()
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "new" / "connection.json"


def test_what_is_written_is_read_by_its_owner_alone(place: Path) -> None:
    discovery.write(place, INFO)
    assert discovery.read(place) == INFO
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert list(place.parent.iterdir()) == [place]


def test_an_old_file_is_replaced_at_once(place: Path) -> None:
    discovery.write(place, INFO)
    with place.open() as old:
        discovery.write(place, replace(INFO, pid=43))
        assert json.load(old)["pid"] == 42  # a reader sees one or the other, whole
    assert discovery.read(place).pid == 43


def test_only_our_own_file_is_removed(place: Path) -> None:
    discovery.write(place, INFO)
    discovery.remove(place, "cd" * 32)
    assert place.exists()
    discovery.remove(place, INFO.token)
    assert not place.exists()
    discovery.remove(place, INFO.token)


def test_no_file_and_an_earlier_boot_mean_that_none_runs(place: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="there is no"):
        discovery.read(place)
    if not INFO.boot:
        pytest.skip("this system does not name its boots")
    discovery.write(place, replace(INFO, boot="another"))
    with pytest.raises(DaemonNotRunning, match="last start") as caught:
        discovery.read(place)
    assert "pid serve" in caught.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_is_open_to_others_is_refused(place: Path, mode: int) -> None:
    discovery.write(place, INFO)
    place.chmod(mode)
    with pytest.raises(ConnectError, match=f"mode {mode:o}"):
        discovery.read(place)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_a_file_of_somebody_else_is_refused(place: Path) -> None:
    discovery.write(place, INFO)
    os.chown(place, 12_345, -1)
    with pytest.raises(ConnectError, match="owner 12345"):
        discovery.read(place)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "\xff\xfe", '{"endpoints": 3}', "[" * 30_000, "x" * 70_000]
)
def test_a_file_that_is_something_else_is_refused(place: Path, text: str) -> None:
    discovery.write(place, INFO)
    place.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConnectError, match=r"connection\.json"):
        discovery.read(place)


def test_the_default_place_hangs_on_the_home_folder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(discovery.OVERRIDE, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert discovery.default_path() == Path("/home/somebody/.pid-layers/connection.json")
    monkeypatch.setenv(discovery.OVERRIDE, "/third/place.json")
    assert discovery.default_path() == Path("/third/place.json")


def test_the_token_never_travels_and_the_proofs_differ() -> None:
    token, challenge = auth.new_token(), auth.new_challenge()
    assert len(bytes.fromhex(token)) == 32 and len(challenge) == 16
    assert token != auth.new_token() and challenge != auth.new_challenge()
    password = hmac.new(token.encode(), b"client", hashlib.sha256).hexdigest()
    assert auth.client_password(token) == password.encode()
    proof = hmac.new(token.encode(), b"daemon" + challenge, hashlib.sha256).digest()
    assert auth.daemon_proof(token, challenge) == proof
    assert auth.is_same(proof, bytes(bytearray(proof))) and not auth.is_same(proof, proof[1:])


def test_the_note_beside_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(discovery.OVERRIDE, raising=False)
    assert read_place(tmp_path) == Place(discovery.default_path(), ())
    note = {"launch": ["/opt/pid", "serve"], "connection_file": "/home/x/c.json"}
    (tmp_path / NOTE).write_text(json.dumps(note))
    assert read_place(tmp_path) == Place(Path("/home/x/c.json"), ("/opt/pid", "serve"))
    monkeypatch.setenv(discovery.OVERRIDE, "/third/place.json")
    assert read_place(tmp_path) == Place(Path("/third/place.json"), ("/opt/pid", "serve"))
    (tmp_path / NOTE).write_text("{")
    assert read_place(tmp_path) == Place(Path("/third/place.json"), ())
