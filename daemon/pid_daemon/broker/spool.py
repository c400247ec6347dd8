# SPDX-License-Identifier: Apache-2.0
"""Disk: one folder per job with the pixels that came, the result, and job.json, which is written
last and atomically.

A folder without job.json was never accepted. The files outlive a killed broker or worker; against a
power cut they are not flushed, because waiting for the disk would hold up every client.
"""

from __future__ import annotations

import errno
import json
import logging
import mmap
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pid_daemon.broker.jobs import Job
from pid_daemon.link import INPUT_FILE, OUTPUT_FILE, PROFILE_FILE
from pid_protocol.errors import InternalError, PidError, SpoolFull

log = logging.getLogger(__name__)

BOOK_FILE = "job.json"
JOB_NAME = re.compile(r"[0-9a-f]{32}")
MIN_FREE_BYTES = 256 << 20
"""Disk space that is left to everybody else."""


class Spool:
    """The folders of all jobs, and the space they count for."""

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        """Take over a folder; it is made when it is missing.

        Args:
            folder: for this broker alone.
            quota_bytes: most disk space that all jobs together may count for.
        """
        self.folder = folder
        self._quota_bytes = quota_bytes
        self._reserved: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def used_bytes(self) -> int:
        """Space that all jobs count for."""
        return sum(self._reserved.values())

    def path(self, job: str) -> Path:
        """A job's folder. Identifiers are checked where they come in; this is the last line."""
        if not JOB_NAME.fullmatch(job):
            raise InternalError(f"{job!r} is not a job's identifier.")
        return self.folder / job

    def open_input(self, job: str, num_bytes: int, profile: bytes) -> int:
        """Reserve space, make the folder and open the file that the pixels go to.

        Args:
            job: identifier.
            num_bytes: what the job will count for, result included.
            profile: ICC profile; empty = there is none.
        Returns:
            File descriptor; the caller closes it.
        Raises:
            SpoolFull: the quota or the disk does not have that much.
        """
        if self.used_bytes + num_bytes > self._quota_bytes:
            raise SpoolFull(
                f"The job needs {num_bytes >> 20} MiB on disk; {self.used_bytes >> 20} of "
                f"{self._quota_bytes >> 20} MiB are in use.",
                "Fetch or forget finished jobs, or raise spool_quota_mib.",
            )
        folder = self.path(job)
        try:
            folder.mkdir(parents=True, mode=0o700)
            free_bytes = shutil.disk_usage(folder).free
            if free_bytes < num_bytes + MIN_FREE_BYTES:
                raise OSError(errno.ENOSPC, "too little space")
            if profile:
                (folder / PROFILE_FILE).write_bytes(profile)
            descriptor = os.open(folder / INPUT_FILE, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise disk_error(error, self.folder) from error
        self._reserved[job] = num_bytes
        return descriptor

    def save(self, job: Job) -> None:
        """Write job.json.

        Raises:
            SpoolFull: the disk is full or the folder is gone.
        """
        folder = self.path(job.id)
        try:
            temporary = folder / (BOOK_FILE + ".new")
            temporary.write_text(json.dumps(job.to_book()), encoding="utf-8")
            os.replace(temporary, folder / BOOK_FILE)
        except OSError as error:
            raise disk_error(error, self.folder) from error

    def drop_pixels(self, job: str) -> None:
        """Give back the space of a job that has no result; its book stays."""
        for name in (INPUT_FILE, OUTPUT_FILE, PROFILE_FILE):
            self._unlink(self.path(job) / name)
        self._reserved.pop(job, None)

    def drop_input(self, job: str, output_bytes: int) -> None:
        """Give back the space of the pixels that came, once there is a result."""
        self._unlink(self.path(job) / INPUT_FILE)
        self._reserved[job] = output_bytes

    def remove(self, job: str) -> None:
        """Remove everything of a job."""
        shutil.rmtree(self.path(job), ignore_errors=True)
        self._reserved.pop(job, None)

    def profile(self, job: str) -> bytes:
        """The ICC profile that came with a job; empty = there is none."""
        try:
            return (self.path(job) / PROFILE_FILE).read_bytes()
        except OSError:
            return b""

    def check_output(self, job: str, num_bytes: int) -> None:
        """Make sure that a result is there and whole.

        Raises:
            InternalError: the file is gone or has another length.
        """
        try:
            length = (self.path(job) / OUTPUT_FILE).stat().st_size
        except OSError as error:
            raise _lost(error) from error
        if length != num_bytes:
            raise InternalError(f"The result has {length} bytes on disk, not {num_bytes}.")

    def map_output(self, job: str, num_bytes: int) -> memoryview:
        """Map a result for reading; the view keeps the file's bytes alive even after `remove`.

        Raises:
            InternalError: the file is gone or has another length.
        """
        self.check_output(job, num_bytes)
        try:
            with (self.path(job) / OUTPUT_FILE).open("rb") as file:
                return memoryview(mmap.mmap(file.fileno(), num_bytes, access=mmap.ACCESS_READ))
        except OSError as error:
            raise _lost(error) from error

    def recover(self) -> Iterator[Job]:
        """Read back every accepted job; folders that were never accepted are removed."""
        for folder in sorted(self.folder.iterdir()):
            if not (folder.is_dir() and JOB_NAME.fullmatch(folder.name)):
                continue
            try:
                job = Job.from_book(json.loads((folder / BOOK_FILE).read_text(encoding="utf-8")))
                if job.id != folder.name:
                    raise ValueError(f"job.json is of {job.id}")
            except (OSError, ValueError, KeyError, TypeError, PidError) as error:
                log.warning("removing %s, which was never accepted (%s)", folder.name, error)
                shutil.rmtree(folder, ignore_errors=True)
                continue
            self._reserved[job.id] = job.reserved_bytes
            yield job

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error.strerror)


def _lost(error: OSError) -> InternalError:
    return InternalError(
        f"The result is no longer on disk: {error.strerror}.", "Submit the job again."
    )


def disk_error(error: OSError, folder: Path) -> SpoolFull:
    """Say in words what a failed write to the spool means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpoolFull(f"The disk of {folder} is full.", "Make room, or set spool_folder.")
    return SpoolFull(
        f"{folder} cannot be written: {error.strerror}.", "Check the folder, or set spool_folder."
    )
