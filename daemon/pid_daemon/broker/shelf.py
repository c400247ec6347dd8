# SPDX-License-Identifier: Apache-2.0
"""The weights on this machine, and what the settings say of them. Files are looked for in a thread
of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pid_core.inspect import ModelRow, PidFiles, Words, describe, scan, word_about
from pid_core.inspect.fingerprint import cached_captions
from pid_core.inspect.models import row_of
from pid_core.plan import EngineReadiness
from pid_core.plan.request import AUTO
from pid_daemon import named_files, words
from pid_daemon.broker.weights import (
    Found,
    Outcome,
    check_prompts,
    files_of,
    is_wanted,
    pid_facts,
)
from pid_daemon.config import Config, cache_folder, config_path, load_config, own_models_folder
from pid_protocol.errors import PidError
from pid_protocol.licences import PID_WEIGHTS

log = logging.getLogger(__name__)

MAX_ROWS = 1_000
"""Rows of one answer; a header has an end."""
PAUSE_S = 5.0
"""Looks that nobody asked for are at least so far apart."""
LIVE_SETTINGS = (
    "default_engine",
    "model_folders",
    "default_weights",
    "default_vae",
    "default_text_encoder",
    "accepted_licences",
)
"""Settings that a running daemon takes up when the file changes: nobody restarts it for a
licence."""


class Shelf:
    """What was found last, and the settings about models."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._read_ns = self._changed_ns()
        self._found = Found()
        self._outcomes: dict[str, Outcome] = {}
        """Files by the names that a job gives, since the last look."""
        self._look: asyncio.Task[None] | None = None
        self._is_stale = False
        """Whether somebody asked after the look under way had begun."""
        self._looked_s = float("-inf")

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
                self._outcomes.clear()
                self._look_again()
        return self._config

    def folders(self) -> list[Path]:
        """Folders that are looked into: ours, those of the settings, the hub's cache."""
        hub = os.environ.get("HF_HUB_CACHE") or str(
            Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
        )
        named = [Path(folder).expanduser() for folder in self.config.model_folders]
        return [own_models_folder(), *named, Path(hub)]

    async def rows(self) -> list[dict[str, Any]]:
        """Look again, and say what there is."""
        await asyncio.shield(self._look_again())
        defaults = self._default_paths()
        rows = (*self._found.rows, *self._found.aside)[:MAX_ROWS]
        return [{**row.to_dict(), "is_default": row.path in defaults} for row in rows]

    def look_soon(self) -> None:
        """Look again some time: somebody is there who may want to know."""
        if time.monotonic() - self._looked_s > PAUSE_S:
            self._look_again()

    def settled(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with what the settings say where a client leaves the engine open."""
        is_open = options["engine"] == AUTO and not options["weights"]
        return {**options, "engine": self.config.default_engine} if is_open else dict(options)

    def readiness(self, options: Mapping[str, Any], *, has_gpu: bool) -> EngineReadiness:
        """What `auto` and the refusals depend on.

        Args:
            options: checked rows of the options table.
            has_gpu: whether the worker's device is one.
        Raises:
            CheckpointMissing, CheckpointMismatch, InvalidRequest: PiD is asked for by name, and
                this is why it cannot be.
        """
        accepted = PID_WEIGHTS.name in self.config.accepted_licences
        try:
            files = self._files(options)
        except PidError:
            self.look_soon()  # whoever puts the file there tries again
            if is_wanted(options):
                raise
            return EngineReadiness(None, accepted, has_gpu)
        return EngineReadiness(pid_facts(files), accepted, has_gpu)

    def files(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a worker needs to load PiD; empty where it cannot be loaded.

        Args:
            options: checked rows of the options table.
        Raises:
            CheckpointMissing, CheckpointMismatch, InvalidRequest: as `readiness`.
        """
        try:
            files = self._files(options)
        except PidError:
            if is_wanted(options):
                raise
            return {}
        return {
            "weights": str(files.weights),
            "vae": str(files.vae),
            "text_encoder": str(files.text_encoder or ""),
            "cache_folder": str(cache_folder()),
            "declared": {
                "family": files.description.family,
                "variant": files.description.variant,
                "is_distilled": files.description.is_distilled,
            },
        }

    def _files(self, options: Mapping[str, Any]) -> PidFiles:
        names = str(options["weights"])
        config = self.config
        if names not in self._outcomes:
            self._outcomes[names] = _outcome(self._found, names, config)
        outcome = self._outcomes[names]
        if isinstance(outcome, PidError):
            raise outcome
        check_prompts(outcome, options, cache_folder() / "captions")
        return outcome

    def _default_paths(self) -> set[str]:
        outcome = self._outcomes.get("")
        if not isinstance(outcome, PidFiles):
            return set()
        return {str(outcome.weights), str(outcome.vae), str(outcome.text_encoder)}

    def _look_again(self) -> asyncio.Task[None]:
        """Begin a look; one that is under way is followed by another, as it may have passed what is
        new."""
        self._is_stale = True
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._keep_looking())
        return self._look

    async def _keep_looking(self) -> None:
        while self._is_stale:
            self._is_stale = False
            config, folders = self.config, self.folders()
            found, outcome = await asyncio.to_thread(_look, folders, config)
            self._found, self._outcomes = found, {"": outcome}
            self._looked_s = time.monotonic()

    def _changed_ns(self) -> int:
        try:
            return config_path().stat().st_mtime_ns
        except OSError:
            return 0


def _look(folders: list[Path], config: Config) -> tuple[Found, Outcome]:
    """Read headers, and choose the defaults."""
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        log.warning("%s cannot be made; what headers say is not remembered", cache)
    has_empty_prompt = bool(cached_captions(cache / "captions", ""))
    said = words.words()
    rows = scan(
        folders,
        cache_file=cache / "models.json",
        has_empty_prompt=has_empty_prompt,
        words=said,
    )
    known = {os.path.realpath(row.path) for row in rows}
    aside = [
        row
        for path in named_files.named_files()
        if os.path.realpath(path) not in known and (row := _row_aside(path, said)) is not None
    ]
    found = Found(rows, aside, said)
    return found, _outcome(found, "", config)


def _row_aside(path: Path, said: Words) -> ModelRow | None:
    try:
        return row_of(path, describe(path, word_about(path, said))) if path.is_file() else None
    except Exception:
        # any file may have been named; one that cannot be read keeps nobody from the others
        log.exception("%s cannot be looked into", path)
        return None


def _outcome(found: Found, names: str, config: Config) -> Outcome:
    try:
        return files_of(found, names, config)
    except PidError as error:
        return error
