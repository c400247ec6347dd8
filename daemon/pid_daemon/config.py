# SPDX-License-Identifier: Apache-2.0
"""Settings of the daemon: one frozen dataclass, filled by flag > environment > file > default.

The environment's names are `PID_` and the field's name in capitals; the file is TOML with the
fields' own names.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import platformdirs
import tomllib

from pid_protocol.errors import InvalidRequest

APP = "pid-layers"
"""Folder name below the system's places for settings, data, caches and logs."""

CONFIG_FILE_VARIABLE = "PID_CONFIG_FILE"
"""Names the settings file where it is not at its usual place."""

TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""How a switch may be written in the environment."""


def _state(name: str) -> Path:
    return platformdirs.user_state_path(APP, appauthor=False) / name


def _log_folder() -> Path:
    return platformdirs.user_log_path(APP, appauthor=False)


def _spool_folder() -> Path:
    return _state("spool")


@dataclass(frozen=True)
class Config:
    """Everything that a person can set."""

    device: str = "auto"
    """`auto`, `cpu`, or devices as torch names them, separated by commas: `cuda:0,cuda:1`."""
    memory_budget_mib: int = 0
    """MiB that loaded models may hold on a device; 0 = what is free."""
    keep_alive_s: float = 300.0
    """Seconds that an idle worker keeps its models; 0 = end at once, -1 = keep."""
    default_engine: str = "auto"
    """The engine that `auto` stands for."""
    model_folders: tuple[str, ...] = ()
    """Further folders to look for weights in, such as ComfyUI's models folder; ours and the hub's
    cache are always looked into."""
    default_weights: str = ""
    """Path or identifier of the PiD weights to use; empty = the best that are found."""
    default_vae: str = ""
    """Path or identifier of the VAE to use with them; empty = the one that fits."""
    default_text_encoder: str = ""
    """Path or identifier of the caption encoder; empty = the one that is found."""
    accepted_licences: tuple[str, ...] = ()
    """Licences that a person accepted, by the names in `pid_protocol.licences`; each is asked for
    once."""
    spool_quota_mib: int = 20_480
    """MiB of disk for pictures under way and results."""
    result_expiry_s: float = 86_400.0
    """Seconds that a result waits for its client."""
    cancel_grace_s: float = 1.5
    """Seconds that a worker has to stop by itself after a cancel."""
    start_limit_s: float = 120.0
    """Seconds until a worker must have taken up a job."""
    load_limit_s: float = 900.0
    """Seconds that loading models may take."""
    stage_limit_s: float = 600.0
    """Seconds without any sign of progress after which a worker counts as hung."""
    idle_exit_s: float = 0.0
    """Seconds without clients and jobs after which the daemon ends; 0 = never."""
    spool_folder: Path = field(default_factory=_spool_folder)
    """Pictures under way and results."""
    log_folder: Path = field(default_factory=_log_folder)
    """Rotating log files."""
    runtime_folder: Path | None = None
    """The unix socket; None = the system's place for such things."""
    connection_file: Path | None = None
    """Where clients find the daemon; None = the usual place."""
    config_file: Path | None = None
    """The file that these settings came from; None = there is none."""
    log_level: str = "INFO"
    """Least important message that is logged."""


def config_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the settings file is, or would be."""
    environment = os.environ if environment is None else environment
    named = environment.get(CONFIG_FILE_VARIABLE)
    if named:
        return Path(named)
    return platformdirs.user_config_path(APP, appauthor=False) / "config.toml"


def cache_folder() -> Path:
    """Where derived files go: safetensors twins, caption embeddings, what headers said."""
    return platformdirs.user_cache_path(APP, appauthor=False)


def own_models_folder() -> Path:
    """The folder for weights that is always looked into."""
    return platformdirs.user_data_path(APP, appauthor=False) / "models"


def load_config(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Config:
    """Read the settings.

    Args:
        flags: values from the command line; None among them = not given.
        environment: os.environ where it is left out.
    Raises:
        InvalidRequest: unknown name, a value of the wrong type, or a file that is no TOML.
    """
    environment = os.environ if environment is None else environment
    path = config_path(environment)
    values: dict[str, Any] = {}
    if path.is_file():
        values |= _from_file(path)
        values["config_file"] = path
    for spec in dataclasses.fields(Config):
        text = environment.get(f"PID_{spec.name.upper()}")
        if text is not None and spec.name != "config_file":
            values[spec.name] = _from_text(spec.name, text, f"PID_{spec.name.upper()}")
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    return Config(**values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is not valid TOML: {error}.") from error
    known = [spec.name for spec in dataclasses.fields(Config) if spec.name != "config_file"]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise InvalidRequest(f"{path} sets {name!r}.", f"Settings: {', '.join(known)}.")
        if isinstance(value, list):
            value = ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        values[name] = _from_text(name, str(value), str(path))
    return values


def _from_text(name: str, text: str, where: str) -> Any:
    """Convert a setting's text into the type of its field."""
    default: Any = getattr(Config(), name)
    kind = cast("type[Any]", type(default))
    try:
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if isinstance(default, Path) or default is None:
            return Path(text).expanduser() if text else None
        if isinstance(default, bool):
            return TRUTHS[text.strip().lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise InvalidRequest(
            f"{where} sets {name} to {text!r}; it has to be of the type {kind.__name__}."
        ) from error
