"""What a solution depends on: the tensors that its gradient goes to."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor, nn

from torchmag.parameters import Values


def trainable(values: Values) -> list[Tensor]:
    """The tensors in `values` that require a gradient, each once."""
    return list({id(x): x for x in _tensors(values) if x.requires_grad}.values())


def exchanged(values: Values, new: Mapping[int, Tensor]) -> Values:
    """The values with tensors replaced, by id."""
    return {
        name: exchanged(value, new) if isinstance(value, dict) else new.get(id(value), value) for name, value in values.items()
    }


def leaves(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers that require a gradient and have no history."""
    return [x for x in chain(module.parameters(), module.buffers()) if x.requires_grad and x.is_leaf]


def require_finite_parameters(module: nn.Module, title: str) -> None:
    """Raise a ValueError that names the first parameter of a Module, however deep, that is not finite."""
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter.detach()).all()):
            count = int((~torch.isfinite(parameter.detach())).sum())
            raise ValueError(
                f"{title}: the parameter {name} is not finite ({count} of {parameter.numel()} values); if it trains, take smaller "
                f"steps or clip its gradient"
            )


@contextlib.contextmanager
def without_hooks(tensors: Iterable[Tensor]) -> Iterator[None]:
    """The tensors without their hooks, which are to see a whole gradient, once, not every part of it."""
    hooks = [x._backward_hooks for x in tensors if x._backward_hooks]
    kept = [dict(found) for found in hooks]
    for found in hooks:
        found.clear()
    try:
        yield
    finally:
        for found, own in zip(hooks, kept):
            found.update(own)


def is_transformed(tensors: Iterable[Tensor]) -> bool:
    """Whether a transform of torch.func or forward-mode differentiation looks at one of them."""
    return any(
        torch._C._functorch.is_functorch_wrapped_tensor(x) or torch.autograd.forward_ad.unpack_dual(x).tangent is not None
        for x in tensors
    )


def require_no_vmap(m0: Tensor, params: Mapping | None, module: nn.Module, title: str) -> None:
    """Raise if torch.vmap maps over m0, params or the module's own tensors."""
    given = params.values() if isinstance(params, Mapping) else ()
    for x in chain((m0,), given, module.parameters(), module.buffers()):
        while isinstance(x, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(x):
            if torch._C._functorch.is_batchedtensor(x):
                raise TypeError(
                    f"{title}: torch.vmap does not reach through it, since each sample has steps of its own; give m0 or the parameters "
                    f"leading batch dimensions instead: m0 (*batch, 3, *nodes), a scalar for each sample as x.reshape(-1, 1, 1) on a "
                    f"mesh of two axes"
                )
            x = torch._C._functorch.get_unwrapped(x)


def every_tensor(values: Values, module: nn.Module) -> Iterable[Tensor]:
    """Values, parameters and buffers."""
    return chain(_tensors(values), module.parameters(), module.buffers())


def found_by(result: Tensor, before: int, known: Iterable[Tensor], title: str) -> list[Tensor]:
    """The tensors without history beside the known ones that a result has a gradient to.

    Args:
        result: of an evaluation under `mark`.
        before: `mark()` before the evaluation.

    Raises:
        TypeError: the result depends on a tensor whose history is older than the evaluation: its gradient would be lost.
    """
    known, found = {id(x) for x in known}, []
    for node in _nodes(result, lambda node: node._sequence_nr() >= before):
        variable = getattr(node, "variable", None)
        if variable is not None:
            if id(variable) not in known:
                found.append(variable)
        elif node._sequence_nr() < before:
            raise TypeError(
                f"{title}: a parameter depends on a tensor with a graph that it closes over (the result of {node.name()}), whose "
                f"gradient would be lost; give that tensor as an nn.Parameter, as an input of torchmag.Derived, or in params="
            )
    return found


def mark() -> int:
    """A number that every node of a graph made from now on exceeds."""
    with torch.enable_grad():
        return torch.zeros((), requires_grad=True).clone().grad_fn._sequence_nr()


def taped_bytes(result: Tensor, known: Iterable[Tensor]) -> int:
    """Memory that autograd holds for the gradient of a result, beside the result and the known tensors."""
    sizes: dict[int, int] = {}
    for node in _nodes(result):
        names = [name for name in dir(node) if name.startswith("_saved_") or name == "saved_tensors"]
        for saved in (getattr(node, name) for name in names):
            for x in saved if isinstance(saved, tuple) else (saved,):
                if isinstance(x, Tensor):
                    sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    for x in (result, *known):
        sizes.pop(x.untyped_storage().data_ptr(), None)
    return sum(sizes.values())


def _nodes(result, inside=lambda node: True):
    """The nodes of the graph of a result; what lies behind one that is not `inside` is left out."""
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            if inside(node):
                waiting += [following for following, _ in node.next_functions]


def _tensors(values):
    for value in values.values():
        if isinstance(value, dict):
            yield from _tensors(value)
        elif isinstance(value, Tensor):
            yield value
