# SPDX-License-Identifier: Apache-2.0
"""Asking for a licence, the same way for every client.

A run or a plan that needs weights whose licence was never acknowledged ends in an error. A client
then asks the person, once, and tries again:

    question = licence.question_about(error)
    if question is not None and the_person_says_yes(question):
        licence.accept(session, question.licence)
        ...and the run is begun again
"""

from __future__ import annotations

from dataclasses import dataclass

from pid_protocol.errors import LicenceNotAccepted, PidError, RemoteProtocolError
from pid_protocol.licences import PID_WEIGHTS, Licence
from pid_protocol.messages import AcceptLicence, Ok

from . import texts
from .session import Session


@dataclass(frozen=True)
class Question:
    """What is asked before weights are used for the first time."""

    licence: Licence
    """What it is about."""
    title: str
    """Of the box."""
    text: str
    """What the person has to know, and the question."""
    yes: str
    """Label of the button that accepts."""
    no: str
    """Label of the other one; also what Escape means."""


def question_about(error: PidError) -> Question | None:
    """What to ask a person after an error; None when it is about something else."""
    if not isinstance(error, LicenceNotAccepted):
        return None
    asked = PID_WEIGHTS  # the only weights so far whose licence has to be acknowledged
    return Question(
        asked,
        texts.LICENCE_TITLE,
        texts.LICENCE_QUESTION.format(covers=asked.covers, title=asked.title, terms=asked.terms),
        texts.LICENCE_YES,
        texts.LICENCE_NO,
    )


def accept(session: Session, licence: Licence) -> None:
    """Tell the daemon that the person accepts; it remembers that for all clients.

    Raises:
        PidError: it could not be stored.
    """
    answer = session.request(AcceptLicence(licence.name))
    if not isinstance(answer, Ok):
        raise RemoteProtocolError(f"The daemon answered {answer.type!r} to accept-licence.")
