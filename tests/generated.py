"""What the compiler makes of a function on a device: kernels that it generates, and calls of libraries, counted without a GPU.

`counting(found)` is a backend for torch.compile.  Graphs that are traced for the emulated device go through torch's own inductor, lowering
and fusion with its scheduler for Triton, up to the code of the kernels, which is not made.  Each node that is left is a launch: of a
generated kernel, or of an operator that a library computes.  The transforms of `torch.fft` count as `FFT` says.
"""

import contextlib
from collections import Counter
from unittest import mock

import torch
from emulated import NAME
from torch._dynamo.backends.common import aot_autograd
from torch._inductor import config, scheduler, utils
from torch._inductor.codegen.common import device_codegens, register_backend_for_device
from torch._inductor.codegen.triton import TritonScheduling
from torch._inductor.codegen.wrapper import PythonWrapperCodegen
from torch._inductor.debug import DebugContext
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.scheduler import FusedSchedulerNode, NopKernelSchedulerNode, SchedulerNode
from torch._inductor.virtualized import V

from torchmag.compiled import ELSEWHERE, OPTIONS

# Kernels that cuFFT launches for a transform along one axis; lengths beyond what a block's memory holds take two or three.
FFT = 1


class Made:
    """What became of one graph.

    Attributes:
        generated: kernels that the compiler generates, each with the operators that are in it.
        libraries: calls of operators that libraries compute, by name.
    """

    def __init__(self):
        self.generated, self.libraries = [], Counter()

    @property
    def launches(self) -> int:
        return len(self.generated) + sum(count * (FFT if "fft" in name else 1) for name, count in self.libraries.items())

    def __repr__(self):
        return f"{len(self.generated)} generated, {dict(self.libraries)}"


def counting(found: list):
    """A backend that adds what is `Made` of each graph to a list, and runs the graph operator by operator."""

    def lowered(graph, inputs):
        found.append(_made(graph, inputs))
        return graph.forward

    return aot_autograd(fw_compiler=lowered, decompositions=select_decomp_table())


def _made(module, inputs):
    made, options = Made(), {name: value for name, value in (OPTIONS | ELSEWHERE).items() if name != "guard_filter_fn"}
    graph = GraphLowering(module)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.dict(device_codegens))
        register_backend_for_device(NAME, TritonScheduling, PythonWrapperCodegen)
        enter(mock.patch.object(utils, "GPU_TYPES", [*utils.GPU_TYPES, NAME]))
        enter(mock.patch.object(scheduler, "has_triton", lambda: True))
        enter(config.patch(options))
        enter(V.set_graph_handler(graph))
        enter(V.set_fake_mode(torch._dynamo.utils.detect_fake_mode(inputs)))
        enter(V.set_debug_handler(DebugContext()))
        graph.run(*inputs)
        graph._update_scheduler()
    for node in graph.scheduler.nodes:
        if isinstance(node, FusedSchedulerNode | SchedulerNode):
            parts = [part.node for part in node.get_nodes()]
            made.generated.append(sorted({str(origin.target) for part in parts for origin in part.get_origins()}))
        elif not isinstance(node, NopKernelSchedulerNode):
            name = getattr(node.node, "op_overload", None) or getattr(node.node, "python_kernel_name", "?")
            if not _is_view(name) and name != "?" and str(name) != "None":
                made.libraries[str(name).removeprefix("aten.").partition(".")[0]] += 1
    return made


def _is_view(operator):
    """Whether it only gives memory another shape or type."""
    schema = getattr(operator, "_schema", None)
    return schema is not None and any(x.alias_info and not x.alias_info.is_write for x in schema.arguments)
