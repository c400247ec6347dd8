# SPDX-License-Identifier: Apache-2.0
"""The weights on this machine, and what the settings say of them. Files are read in a thread of its
own."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pid_protocol.errors import CheckpointMissing, PidError

from pid_core.inspect import ModelRow, scan
from pid_core.inspect.fingerprint import cached_captions
from pid_core.plan import EngineReadiness
from pid_daemon.config import Config, cache_folder, config_path, load_config, own_models_folder

log = logging.getLogger(__name__)

MAX_ROWS = 1_000
"""Rows of one answer; a header has an end."""
LIVE_SETTINGS = (
    "model_folders",
    "default_weights",
    "default_vae",
    "default_text_encoder",
    "pid_licence_accepted",
)
"""Settings that a running daemon takes up when the file changes: nobody restarts it for a
licence."""


class Shelf:
    """What `scan` found last, and the settings about models."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._read_ns = self._changed_ns()
        self._rows: list[ModelRow] = []
        self._scan: asyncio.Task[None] | None = None

    @property
    def config(self) -> Config:
        """The settings, with those about models as the file has them now."""
        changed_ns = self._changed_ns()
        if changed_ns != self._read_ns:
            self._read_ns = changed_ns
            try:
                fresh = load_config()
            except PidError as error:
                log.warning("the settings stay as they were: %s", error)
            else:
                live = {name: getattr(fresh, name) for name in LIVE_SETTINGS}
                self._config = replace(self._config, **live)
                self._look_soon()
        return self._config

    def folders(self) -> list[Path]:
        """Folders that are looked into: ours, those of the settings, the hub's cache."""
        hub = os.environ.get("HF_HUB_CACHE") or str(
            Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
        )
        named = [Path(folder).expanduser() for folder in self.config.model_folders]
        return [own_models_folder(), *named, Path(hub)]

    async def rows(self) -> list[dict[str, Any]]:
        """Look again; those who ask at the same time share one look."""
        await asyncio.shield(self._look_soon())
        return [row.to_dict() for row in self._rows[:MAX_ROWS]]

    def readiness(self, *, has_gpu: bool) -> EngineReadiness:
        """What `auto` and the refusals depend on."""
        installed = any(
            row.kind == "pid" and row.state == "ready" and not row.lacks for row in self._rows
        )
        return EngineReadiness(installed, self.config.pid_licence_accepted, has_gpu)

    def find(self, weights: str) -> str:
        """The path of weights that a client names; empty stays empty.

        Only what lies in the folders of the settings can be named: a client never makes us open any
        other file.

        Raises:
            CheckpointMissing: nothing of that name was found.
        """
        if not weights:
            return ""
        for row in self._rows:
            if weights in (row.id, row.path) and row.state == "ready":
                return row.path
        raise CheckpointMissing(
            f"There are no weights {weights[:80]!r} in the model folders.",
            "`pid models` looks again and lists what there is.",
        )

    def files(self, weights: str) -> dict[str, Any]:
        """What a worker needs to find PiD's files.

        Args:
            weights: as the job says; empty = the default.
        Raises:
            CheckpointMissing: as `find`.
        """
        config = self.config
        return {
            "weights": self.find(weights) or config.default_weights,
            "vae": config.default_vae,
            "text_encoder": config.default_text_encoder,
            "model_folders": [str(folder) for folder in self.folders()],
            "cache_folder": str(cache_folder()),
        }

    def _look_soon(self) -> asyncio.Task[None]:
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._look_in_thread())
        return self._scan

    async def _look_in_thread(self) -> None:
        self._rows = await asyncio.to_thread(self._look, self.folders())

    def _look(self, folders: list[Path]) -> list[ModelRow]:
        cache = cache_folder()
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError:
            log.warning("%s cannot be made; what headers say is not remembered", cache)
        has_empty_prompt = bool(list(cached_captions(cache / "captions", "")))
        return scan(folders, cache_file=cache / "headers.json", has_empty_prompt=has_empty_prompt)

    def _changed_ns(self) -> int:
        try:
            return config_path().stat().st_mtime_ns
        except OSError:
            return 0
