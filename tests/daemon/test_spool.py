# SPDX-License-Identifier: Apache-2.0
"""Disk: quota, a full disk in the middle, restart, files that are gone. No process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pid_daemon.broker import intake as intake_module
from pid_daemon.broker import spool as spool_module
from pid_daemon.broker.intake import Intake
from pid_daemon.broker.jobs import Job, State
from pid_daemon.broker.spool import Spool
from pid_daemon.link import INPUT_FILE, OUTPUT_FILE
from pid_protocol.errors import Cancelled, InternalError, RemoteProtocolError, SpoolFull
from pid_protocol.limits import BAND_CREDITS
from pid_protocol.messages import Band, Submit
from pid_protocol.pixels import PixelFormat, Region

MIB = 1 << 20


def make_job(number: int = 0, *, num_bytes: int = 100) -> Job:
    submit = Submit(f"{number:032x}", "enhance", PixelFormat(10, 10, "gray"), {"seed": 3},
                    Region(0, 0, 5, 5), title="Lay\u00ebr", keep_alive_s=2.5)  # fmt: skip
    return Job(submit, "test", b"route", 1.5, num_bytes, num_bytes)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 10 * MIB)


def test_a_job_survives_as_it_was(spool: Spool) -> None:
    job = make_job()
    os.close(spool.open_input(job.id, job.reserved_bytes, b""))
    job.state, job.error = State.FAILED, Cancelled("The job was cancelled.", "Try again.")
    job.image, job.record = PixelFormat(3, 4, "rgba", "u16"), {"engine": "identity"}
    spool.save(job)
    (found,) = Spool(spool.folder, MIB).recover()
    assert found.submit == job.submit
    assert (found.state, found.image, found.record) == (job.state, job.image, job.record)
    assert found.error and (found.error.code, found.error.hint) == ("cancelled", "Try again.")
    assert found.owner == b"" and not found.followers


@pytest.mark.parametrize("text", ["", "{", "[]", '{"submit": {}}', '{"submit": 3}', "null"])
def test_what_was_never_accepted_is_removed(spool: Spool, text: str) -> None:
    folder = spool.folder / ("a" * 32)
    folder.mkdir()
    if text:
        (folder / "job.json").write_text(text)
    (spool.folder / "somebody's file").write_text("stays")
    (spool.folder / "somebody's folder").mkdir()
    assert list(spool.recover()) == []
    assert not folder.exists()
    assert (spool.folder / "somebody's file").exists()
    assert (spool.folder / "somebody's folder").exists()


def test_the_quota_counts_every_job_until_it_is_gone(spool: Spool) -> None:
    names = [f"{number:032x}" for number in range(3)]
    for name in names[:2]:
        os.close(spool.open_input(name, 4 * MIB, b""))
    with pytest.raises(SpoolFull, match="8 of 10 MiB"):
        spool.open_input(names[2], 4 * MIB, b"")
    assert not spool.path(names[2]).exists()
    spool.remove(names[0])
    os.close(spool.open_input(names[2], 4 * MIB, b""))
    assert spool.used_bytes == 8 * MIB


def test_a_disk_with_little_room_takes_no_job(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(SpoolFull, match="is full"):
        spool.open_input("0" * 32, 10, b"")
    assert list(spool.folder.iterdir()) == []
    assert spool.used_bytes == 0


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "is full"), (errno.EIO, "cannot be written")]
)
def test_a_disk_that_fails_in_the_middle(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    intake, job = Intake(spool), make_job()
    intake.open(job, b"")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(intake_module, "write_at", fail)
    with pytest.raises(SpoolFull, match=words):
        intake.take(Band(job.id, 0), b"x" * 10)


def test_bands_land_where_they_belong(spool: Spool) -> None:
    intake, job = Intake(spool), make_job()
    intake.open(job, b"")
    assert not intake.take(Band(job.id, 0), bytes(range(60)))
    assert intake.take(Band(job.id, 60), bytes(range(60, 100)))
    assert (spool.path(job.id) / INPUT_FILE).read_bytes() == bytes(range(100))


def test_credit_is_held(spool: Spool) -> None:
    intake, job = Intake(spool), make_job()
    intake.open(job, b"")
    intake._arrivals[job.id].credit = 0  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(RemoteProtocolError, match=f"More than {BAND_CREDITS}"):
        intake.take(Band(job.id, 0), b"x")


def test_a_result_must_be_whole(spool: Spool) -> None:
    job = make_job()
    os.close(spool.open_input(job.id, 100, b""))
    with pytest.raises(InternalError, match="no longer on disk"):
        spool.map_output(job.id, 5)
    (spool.path(job.id) / OUTPUT_FILE).write_bytes(b"12345")
    with pytest.raises(InternalError, match="5 bytes on disk, not 6"):
        spool.map_output(job.id, 6)
    view = spool.map_output(job.id, 5)
    spool.remove(job.id)
    assert bytes(view) == b"12345", "who has begun to send can end"


@pytest.mark.parametrize("name", ["../../etc", "", "A" * 32, "0" * 31, "0" * 33, "0" * 31 + "/"])
def test_names_are_no_paths(spool: Spool, name: str) -> None:
    with pytest.raises(InternalError):
        spool.path(name)
