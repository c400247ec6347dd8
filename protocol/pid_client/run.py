# SPDX-License-Identifier: Apache-2.0
"""The use case that GIMP and Krita share: read the layers, send them, follow the jobs, hand the
results over.

Each function here is a generator that never sleeps longer than `wait_s` between two yields: GIMP
loops over it, Krita
advances it from a timer. The document is touched by one call of `Editor.commit`, after everything
has arrived and
was checked; closing the generator before that cancels the jobs and leaves the document alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pid_protocol.errors import ConnectError, InvalidRequest, RemoteProtocolError, UnknownJob
from pid_protocol.messages import GetJobs, GetPlan, Jobs, Plan, Progress, Queued
from pid_protocol.pixels import Region

from . import texts
from .cut import SAME_SIZE, Cut, check_size, cut_for
from .editor import Editor, Placed, Source
from .job import Finished, JobEvent, JobSpec, PreviewImage, Receiving
from .options import ENHANCE, UPSCALE, options_for, validated
from .session import Session
from .tracked import Job

GROW, NEW_IMAGE = "grow", "new-image"
SPOT_PX = 256
"""Side of the area that "Try a spot" works on."""


@dataclass(frozen=True)
class Update:
    """How far the whole run is."""

    text: str
    """One line for a person."""
    fraction: float
    """Part of the run that is done, in [0, 1]."""


@dataclass(frozen=True)
class Committed:
    """The last event: the results are in the document."""

    results: tuple[Placed, ...]
    """What was handed over."""


RunEvent = Update | PreviewImage | Committed | None
"""None = nothing new."""


def job_kind(kind: str, placement: str) -> str:
    """The daemon's kind of job: an upscale that stays at the same size is an enhancement."""
    return ENHANCE if placement == SAME_SIZE else kind


def run(
    editor: Editor,
    session: Session,
    kind: str,
    options: Mapping[str, Any],
    *,
    wait_s: float = 0.0,
) -> Iterator[RunEvent]:
    """Upscale or enhance what is chosen in the editor.

    Args:
        editor: the host.
        session: a connection; it stays open.
        kind: `upscale` or `enhance`.
        options: rows of the options table.
        wait_s: longest pause between two yields.
    Yields:
        RunEvent; `Committed` is the last one.
    Raises:
        PidError: nothing was changed in the document.
    """
    checked = validated(kind, options)
    placement = checked.get("placement", SAME_SIZE)
    sources = editor.sources()
    checked = _with_common_size(checked, sources, placement)
    jobs: list[tuple[Source, Cut, Job]] = []
    try:
        for source in sources:
            yield Update(texts.READING, 0.0)
            cut = cut_for(
                source.image,
                editor.selection(source),
                checked.get("padding", 0),
                checked.get("feather", 0),
            )
            spec = _spec(editor, source, cut, job_kind(kind, placement), checked)
            pixels = bytearray()
            for strip in editor.read_pixels(source, cut.crop):
                pixels += strip
                yield Update(texts.READING, 0.0)
            jobs.append((source, cut, session.submit(spec, pixels)))
        results: list[Placed] = []
        for i, (source, cut, job) in enumerate(jobs):
            finished = None
            while finished is None:
                event = job.next_event(wait_s)
                if isinstance(event, Finished):
                    finished = event
                else:
                    yield _update(event, i, len(jobs))
            name = texts.result_name(source.name, placement, finished.image, cut.answered)
            placed = Placed(
                source, cut.answered if cut.region else None, finished, name, kind, checked
            )
            check_size(placed, placement, checked)
            results.append(placed)
        yield Update(texts.PLACING, 1.0)
        for _ in editor.commit(placement, results):
            yield Update(texts.PLACING, 1.0)
    except GeneratorExit:  # the person cancelled: nobody wants what is finished, either
        _give_up([job for _, _, job in jobs], forget=True)
        raise
    except BaseException:
        _give_up([job for _, _, job in jobs])
        raise
    for _, _, job in jobs:
        job.forget()
    yield Committed(tuple(results))


def try_spot(
    session: Session,
    source: Source,
    pixels: bytes,
    kind: str,
    options: Mapping[str, Any],
    *,
    wait_s: float = 0.0,
) -> Iterator[Update | Finished | None]:
    """Work on a small area for a look, without a document.

    Args:
        session: a connection.
        source: describes `pixels`; its image has the area's size.
        pixels: the area with its context, at most a few hundred pixels on a side.
        kind: `upscale` or `enhance`.
        options: rows of the options table.
        wait_s: longest pause between two yields.
    Yields:
        Update or None, at last Finished.
    """
    checked = validated(kind, options)
    wire_kind = job_kind(kind, checked.get("placement", SAME_SIZE))
    rows = {row.name for row in options_for(wire_kind)}
    size_rows = {"longest": 0, "width": 0, "height": 0}  # the whole picture's, not the spot's
    checked |= {name: value for name, value in size_rows.items() if name in rows}
    wanted = _for_daemon(wire_kind, checked)
    spec = JobSpec(wire_kind, source.image, wanted, icc=source.icc, title=texts.SPOT_TITLE)
    job = session.submit(spec, pixels)
    try:
        while True:
            event = job.next_event(wait_s)
            if isinstance(event, Finished):
                break
            update = _update(event, 0, 1)
            yield update if isinstance(update, Update) else None
    except BaseException:
        _give_up([job])
        raise
    job.forget()
    yield event


def recover(
    editor: Editor, session: Session, *, job: str | None = None, wait_s: float = 0.0
) -> Iterator[RunEvent]:
    """Fetch a result that was never received, and hand it over as a new image.

    Args:
        editor: the host.
        session: a connection.
        job: its name; None = the newest finished one.
        wait_s: longest pause between two yields.
    Raises:
        UnknownJob: there is nothing to recover.
    """
    answer = session.request(GetJobs())
    rows = answer.jobs if isinstance(answer, Jobs) else []
    done = [row for row in rows if row.get("state") == "done" and job in (None, row["job"])]
    if not done:
        raise UnknownJob(texts.NOTHING_TO_RECOVER)
    row = max(done, key=lambda one: one.get("submitted_s", 0.0))
    followed = session.fetch(row["job"])
    finished = None
    while finished is None:
        event = followed.next_event(wait_s)
        if isinstance(event, Finished):
            finished = event
        else:
            yield _update(event, 0, 1)
    title = str(row.get("title") or texts.UNTITLED)
    source = Source(None, title, replace(finished.image), finished.icc)
    options = dict(finished.record.get("options") or {})
    placed = Placed(source, None, finished, title, str(row.get("kind") or UPSCALE), options)
    for _ in editor.commit(NEW_IMAGE, [placed]):
        yield Update(texts.PLACING, 1.0)
    followed.forget()
    yield Committed((placed,))


def plan(
    session: Session,
    source: Source,
    selection: Region | None,
    kind: str,
    options: Mapping[str, Any],
    timeout_s: float = 2.0,
) -> Plan:
    """What a run on this layer would do; no work is done.

    Raises:
        PidError: it could not be carried out; the message is the one a run would give.
    """
    checked = validated(kind, options)
    placement = checked.get("placement", SAME_SIZE)
    cut = cut_for(source.image, selection, checked.get("padding", 0), checked.get("feather", 0))
    image = replace(source.image, width=cut.crop.width, height=cut.crop.height)
    wire_kind = job_kind(kind, placement)
    answer = session.request(
        GetPlan(wire_kind, image, _for_daemon(wire_kind, checked), cut.region), timeout_s
    )
    if not isinstance(answer, Plan):
        raise RemoteProtocolError(f"The daemon answered {answer.type!r} to a request for a plan.")
    return answer


def _with_common_size(
    options: dict[str, Any], sources: Sequence[Source], placement: str
) -> dict[str, Any]:
    """Several layers keep their proportions to each other: one factor, taken from the largest of
    them."""
    if len(sources) < 2 or placement == SAME_SIZE:
        return options
    if options.get("width"):
        raise InvalidRequest(texts.EXACT_SIZE_OF_SEVERAL)
    if not options.get("longest"):
        return options
    longest = max(max(one.image.width, one.image.height) for one in sources)
    return validated(UPSCALE, {**options, "scale": options["longest"] / longest, "longest": 0})


def _spec(
    editor: Editor, source: Source, cut: Cut, kind: str, options: Mapping[str, Any]
) -> JobSpec:
    return JobSpec(
        kind=kind,
        image=replace(source.image, width=cut.crop.width, height=cut.crop.height),
        options=_for_daemon(kind, options),
        icc=source.icc,
        region=cut.region,
        mask=editor.read_mask(source, cut.crop) if cut.is_masked else None,
        title=source.name,
    )


def _for_daemon(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Rows that the daemon has a use for."""
    return {
        row.name: options[row.name]
        for row in options_for(kind)
        if row.name in options and not row.editor_only
    }


def _update(event: JobEvent | None, index: int, total: int) -> Update | PreviewImage | None:
    match event:
        case PreviewImage():
            return event
        case Queued():
            return Update(texts.queued(event.position), index / total)
        case Progress():
            share = (index + 0.95 * event.fraction) / total
            return Update(texts.progress(event, index, total), share)
        case Receiving():
            return Update(texts.RECEIVING, (index + 0.95 + 0.05 * event.fraction) / total)
        case _:
            return None


def _give_up(jobs: Sequence[Job], *, forget: bool = False) -> None:
    """Cancel what is not finished; finished results stay to be recovered, or are forgotten."""
    for job in jobs:
        try:
            if not job.is_over:
                job.cancel()
            elif forget:
                job.forget()
        except ConnectError:  # the daemon drops the jobs of a connection that is gone
            return
