# SPDX-License-Identifier: Apache-2.0
"""The question about a licence, in a box."""

from __future__ import annotations

from gi.repository import Gtk

from pid_client.licence import Question


def is_answered_yes(question: Question) -> bool:
    """Ask, and wait for the answer; Escape means no."""
    box = Gtk.MessageDialog(
        message_type=Gtk.MessageType.QUESTION,
        buttons=Gtk.ButtonsType.NONE,
        text=question.title,
        secondary_text=question.text,
    )
    box.add_button(question.no, Gtk.ResponseType.CANCEL)
    box.add_button(question.yes, Gtk.ResponseType.ACCEPT)
    box.set_default_response(Gtk.ResponseType.CANCEL)
    answer = box.run()
    box.destroy()
    return answer == Gtk.ResponseType.ACCEPT
