# SPDX-License-Identifier: Apache-2.0
"""Picture files: PNG, JPEG, WebP and TIFF in and out, with depth, profile, metadata and record.

Reading gives pixels as they travel on the wire, upright. Writing is atomic: a file is there whole
or not at all. Used by the command line alone; the daemon never opens a path of a client's.
"""

from pid_daemon.files.formats import FORMATS, FileFormat, format_by_name, format_for
from pid_daemon.files.picture import Metadata, SourceImage, UnwritableOutput
from pid_daemon.files.read import read
from pid_daemon.files.record import read_record
from pid_daemon.files.write import write

__all__ = [
    "FORMATS",
    "FileFormat",
    "Metadata",
    "SourceImage",
    "UnwritableOutput",
    "format_by_name",
    "format_for",
    "read",
    "read_record",
    "write",
]
