"""Modules that take no attribute they do not have: a misspelled parameter is an error instead of a note that nobody reads."""

import difflib

from torch import nn


class _SealedType(type):
    """Marks an instance once its constructor, that of every subclass included, is done."""

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.__dict__["_sealed"] = True
        return made


class Sealed(nn.Module, metaclass=_SealedType):
    """A Module whose public attributes are those it has when it is made; names with a leading underscore stay free.

    Raises:
        TypeError: assigning to another name.
    """

    def __setattr__(self, name, value):
        if "_sealed" in self.__dict__ and not name.startswith("_") and not hasattr(self, name) and name not in self._open():
            self._refuse(name)
        super().__setattr__(name, value)

    def _open(self):
        # torch.nn.utils.parametrize keeps its own there, and takes a parameter away before it puts another in its place.
        return ("parametrizations", *self.__dict__.get("_roles", ()))

    def _refuse(self, name):
        known = list(self.__dict__.get("_roles", ()))
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its parameters are {', '.join(known) or 'none'}"
        raise TypeError(f"{type(self).__name__} has no attribute {name!r} to assign to; {hint}")
