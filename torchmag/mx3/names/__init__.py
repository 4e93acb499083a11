"""The names that scripts know."""

import difflib

from torchmag.mx3.names import custom, drives, extensions, fields, files, mathematics, running, space

ROOMS = (mathematics, space, drives, fields, custom, running, files, extensions)


def all_names(world) -> dict[str, object]:
    """Lower-case name -> Function, Setting or value."""
    found = {}
    for room in ROOMS:
        for name, entry in room.names(world).items():
            found[name.lower()] = entry
    return found


def suggestion(known, name: str) -> str:
    """A name that is close, for a message."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
