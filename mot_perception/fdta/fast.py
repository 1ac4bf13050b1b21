"""The network as it is fastest where nothing is learned: the same function in fewer steps.

On a GPU, what is computed again and again with the same shapes is recorded once as a CUDA graph
and then replayed, so that the GPU never waits for Python.
"""

from __future__ import annotations

import copy
import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mot_perception.fdta.deformable_detr import EPSILON, FrozenBatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable

    from mot_perception.fdta.deformable_detr import Detections

WARM_UP = 3
"""Runs before a recording, in which libraries choose their kernels and take their memory."""
SIZES = 2
"""Sizes of images that are recorded at a time; each takes as much memory as its frame needs."""

Result = TypeVar('Result')
Shapes = tuple[tuple[Any, ...], ...]


def fused(detector: nn.Module) -> nn.Module:
    """Return a copy for inference, with each batch normalisation in the convolution before it.

    Args:
        detector: On any device; it stays as it is.
    """
    made = copy.deepcopy(detector).eval().requires_grad_(False)
    for parent in list(made.modules()):
        for (_, before), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(norm, FrozenBatchNorm) and isinstance(before, nn.Conv2d):
                _fold(before, norm)
                setattr(parent, name, nn.Identity())
    for parameter in made.parameters():
        if parameter.ndim == 4:  # of convolutions
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return made


def _fold(convolution: nn.Conv2d, norm: FrozenBatchNorm) -> None:
    """Scale and shift what a convolution without bias returns; computed in float32."""
    precision = convolution.weight.dtype
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.float(),
        None,
        norm.running_mean.float(),
        norm.running_var.float(),
        EPSILON,
        norm.weight.float(),
        norm.bias.float(),
    )
    convolution.weight.data = weight.data.to(precision)
    convolution.bias = nn.Parameter(bias.data.to(precision), requires_grad=False)


class FastDetector:
    """A detector for inference, with its own fused copy of the weights.

    Args:
        detector: With its weights, where it computes; it stays as it is.
        half: Compute with half precision, if that is on a GPU.

    Attributes:
        network: That copy.
    """

    def __init__(self, detector: nn.Module, half: bool = False) -> None:
        self.network = fused(detector)
        device = next(detector.parameters()).device
        if half and device.type == 'cuda':
            self.network.half()
        self._precision = next(self.network.parameters()).dtype
        detect = replayed(self.network, device, SIZES)
        self._detect = cast('Callable[[Tensor], Detections]', detect)

    def __call__(self, images: Tensor) -> Detections:
        """Detect, without padding.

        Args:
            images: (B, 3, H, W), RGB, normalised as for ImageNet, of any precision.

        Returns:
            What may be overwritten by the next call.
        """
        with torch.inference_mode():
            return self._detect(images.to(self._precision))


def replayed(
    function: Callable[..., Result], device: torch.device, most: int
) -> Callable[..., Result]:
    """Return the function, by CUDA graphs if the device is a GPU."""
    return Replayed(function, most) if device.type == 'cuda' else function


class Recording(NamedTuple):
    """A CUDA graph, what it reads and what it writes."""

    graph: torch.cuda.CUDAGraph
    given: list[Tensor]
    result: Any


class Replayed(Generic[Result]):
    """Calls a function by CUDA graphs, one for each set of shapes.

    Shapes that come for the first time, or change all the time, are not worth a recording: it is
    made when the same ones come twice in a row. What cannot be recorded is called as it is.

    Args:
        function: Of tensors on one GPU; it makes no copies from or to the host, and what it does
            does not depend on values.
        most: Recordings that are kept; the one that was longest not used goes.
    """

    def __init__(self, function: Callable[..., Result], most: int) -> None:
        self._function, self._most = function, most
        self._recordings: dict[Shapes, Recording] = {}
        self._last: Shapes | None = None

    def __call__(self, *given: Tensor) -> Result:
        """Return what the function does; its tensors are overwritten by the next call."""
        shapes = tuple((*tensor.shape, tensor.dtype) for tensor in given)
        again, self._last = shapes == self._last, shapes
        recording = self._recordings.pop(shapes, None)
        if recording is None and again and self._most:
            recording = self._recorded(given)
        if recording is None:
            return self._function(*given)
        self._recordings[shapes] = recording
        if len(self._recordings) > self._most:
            del self._recordings[next(iter(self._recordings))]
        for own, new in zip(recording.given, given, strict=True):
            own.copy_(new)
        recording.graph.replay()
        result: Result = recording.result
        return result

    def _recorded(self, given: tuple[Tensor, ...]) -> Recording | None:
        try:
            return record(self._function, given)
        except RuntimeError as error:
            self._most = 0
            logging.getLogger(__name__).warning('computing without CUDA graphs: %s', error)
            return None


def record(function: Callable[..., Any], given: tuple[Tensor, ...]) -> Recording:
    """Record a function as a CUDA graph; the tensors that are given stay as they are.

    As torch.cuda.graph describes: warmed up on a stream beside, then captured on another.
    """
    own = [tensor.clone() for tensor in given]
    with torch.cuda.device(given[0].device):
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        now = torch.cuda.current_stream()
        beside.wait_stream(now)
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                function(*own)
        now.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # other threads of a process may compute meanwhile
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            result = function(*own)
    return Recording(graph, own, result)
