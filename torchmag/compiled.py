"""What a Module keeps of compiled functions that call it."""

import functools
import re
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from torchmag.device import is_replayed

# Whose code stands still while a program runs, as torch.compile names it: the frame's own module, torch and torchmag.
_OUR_CODE = re.compile(r"G\['(?!__import_)|G\['__import_torch(mag)?(_dot_|'])")
_CODE = {"MODULE_MATCH", "CLOSURE_MATCH", "FUNCTION_MATCH", "BUILTIN_MATCH", "CLASS_MATCH"}


def _guards(entries):
    """Which guards to check at each call: not whether the functions of torch and torchmag are what they were, a third of them."""
    return [not (entry.guard_type in _CODE and _OUR_CODE.match(entry.name)) for entry in entries]


# A thread should have that many numbers to work on at least: waking one takes as long as ten thousand additions.
OPTIONS = {"cpp.min_chunk_size": 2**13, "size_asserts": False, "guard_filter_fn": _guards}
# On a CPU a neighbour's value is sooner computed twice than written and read again.
ON_CPU = {"realize_reads_threshold": 32, "realize_acc_reads_threshold": 32}
# Elsewhere a launch costs more than what is computed twice; a sum over many neighbours has memory of its own.
ELSEWHERE = {"realize_reads_threshold": 8, "realize_acc_reads_threshold": 40, "realize_opcount_threshold": 400}


def with_own_code(function: Callable) -> Callable:
    """The function, or method, with code of its own: torch.compile gives up on code of which it has compiled eight graphs, whoever's."""
    plain = getattr(function, "__func__", function)
    if not isinstance(plain, types.FunctionType):
        return function
    code = plain.__code__.replace()
    copied = types.FunctionType(code, plain.__globals__, plain.__name__, plain.__defaults__, plain.__closure__)
    copied.__kwdefaults__ = plain.__kwdefaults__
    return copied if plain is function else types.MethodType(copied, function.__self__)


class Compiled(nn.Module):
    """A Module that functions which call it are compiled with; it has a `reference`, a tensor on its device."""

    # What torch.compile was given, by its name each function that was compiled, and what calls that compile by themselves know.
    _compiler, _compiled, _compilations = None, {}, None

    def _compile_options(self, kwargs, steps=False):
        """The arguments of torch.compile."""
        if kwargs.get("backend", "inductor") == "inductor" and not {"mode", "options"} & kwargs.keys():
            kwargs = kwargs | {
                "options": OPTIONS
                | (ON_CPU if self.reference.is_cpu else ELSEWHERE)
                | ({"triton.cudagraphs": True} if steps else {})
            }
        return {"dynamic": False} | kwargs

    def compiled(self, name: str, function: Callable, by_itself: bool = False) -> Callable | None:
        """A function that calls this Module, compiled like it, once for each name.

        None where the Module is not compiled, unless a call does so `by_itself`.
        """
        if self._compiler is None and not by_itself:
            return None
        if name not in self._compiled:
            compiler = self._compiler or functools.partial(torch.compile, fullgraph=True, **self._compile_options({}))
            self._compiled = self._compiled | {name: compiler(with_own_code(function))}
        return self._compiled[name]

    @staticmethod
    def kept(call: Callable, m: Tensor, *arguments):
        """What compiled steps give, in memory of its own where the next replay of a CUDA graph writes on what this one gave."""
        if torch.compiler.is_compiling() or not is_replayed(m):
            return call(*arguments)
        if not torch.is_grad_enabled():
            torch.compiler.cudagraph_mark_step_begin()
        return tree_map_only(Tensor, Tensor.clone, call(*arguments))

    @property
    def compilations(self) -> dict:
        """What calls that compile by themselves know of it: see `solvers.compilation`."""
        if self._compilations is None:
            self._compilations = {}
        return self._compilations

    def __getstate__(self):
        # Compiled code, and what is remembered, belong to one process and one object.
        return {name: value for name, value in super().__getstate__().items() if not name.startswith(("_compil", "_remembered"))}
