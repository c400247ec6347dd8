# SPDX-License-Identifier: Apache-2.0
"""PiD in GIMP 3: procedures, dialog, layers in and out. What Krita shares is in `pid_client`.

    plugin      the procedures that GIMP lists
    call        one call: dialog, connection, progress, outcome
    arguments   rows of the options table as GIMP's arguments
    editor      `pid_client.editor.Editor`, on GIMP's images
    pixels      GEGL buffers as bytes, in the image's own space and precision
    placing     results as layers
    dialog      the window before a run, with the plan
    trial       "Try a spot"
    spot        its place and its picture, before and after
    question    about a licence

GIMP's interface is called on the main thread only.
"""
