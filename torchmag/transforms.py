"""Whether a derivative of torch.func or a forward one is being taken."""

import torch


def is_transformed() -> bool:
    """torch gives a custom operator a tangent of zero then, and compiles no autograd.Function."""
    return torch._C._functorch.maybe_current_level() is not None or torch.autograd.forward_ad._current_level >= 0


# What torch.compiler.assume_constant_result does, which imports the whole compiler.
is_transformed._dynamo_marked_constant = True
