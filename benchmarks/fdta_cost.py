"""What FDTA costs, part by part: parameters, arithmetic and time, with random weights.

    python benchmarks/fdta_cost.py                     # on a GPU if there is one
    python benchmarks/fdta_cost.py --half --compile
    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python benchmarks/fdta_cost.py --repeat 3

`release` is the published network, `improved` ours. They take turns, so that whatever else the
machine does slows both; medians. A GPU is waited for before a clock starts or stops; on a CPU the
time is the processor's, of all threads together, which others' work hardly changes. Parts are
timed step by step in networks of the same form (normalisations fused; float32, or float16
with `--half`). A whole frame is timed as it runs: `release` as published, float32 and step by
step; `improved` by `FastDetector`, on a GPU from CUDA graphs, or compiled with `--compile`.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mot_perception.fdta.fast import FastDetector, fused
from mot_perception.fdta.id_decoder import Current, History
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import FdtaSettings, improved, release
from mot_perception.fdta.settle import settle
from mot_perception.fdta.trajectories import Trajectories
from mot_perception.perception.device import choose_device
from mot_perception.trackers.fdta import FdtaTracker
from mot_perception.types import Detections, Embeddings, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

TRACKS, ROWS = 20, 30
"""Of the history by which identities are told; the last row is the frame itself."""
PERIOD_NS = 50_000_000
PUBLISHED = {
    'ResNet-50': 23.45,
    'rest of the detector': 17.26,
    'depth predictor': 1.81,
    'depth attention': 1.58,
    'temporal adapter': 3.16,
    'trajectory modelling': 0.53,
    'ID decoder': 17.90,
}
"""Million parameters by the specification, 65.70 in all."""
PAPER = 'the paper: 13.4 frames/s at 1920×1080, of which the Spatial Adapter takes 1.4 %'
PARTS = {
    'backbone and projections': ('backbone', 'projections'),
    'encoder': ('encoder',),
    'depth branch': ('depth',),
    '… of it the depth encoder': ('depth encoder',),
    'decoder': ('decoder',),
    '… of it the depth attention': ('depth attention',),
}
"""Of the detector, by what `detector_parts` calls them."""
SPATIAL = 'depth branch', '… of it the depth attention'
"""What the Spatial Adapter adds."""


def detector_parts(detector: nn.Module) -> dict[str, list[nn.Module]]:
    """Return the modules of each part."""
    predictor, transformer = detector.depth_predictor, detector.transformer
    layers = transformer.decoder.layers
    return {
        'backbone': [detector.backbone],
        'projections': [*detector.input_proj],
        'encoder': [transformer.encoder],
        'depth': [predictor],
        'depth encoder': [*predictor.depth_encoder['layers']],
        'decoder': [transformer.decoder],
        'depth attention': [m for it in layers for m in (it.cross_attn_depth, it.norm_depth)],
    }


class Stopwatch:
    """Sums the milliseconds that parts take in a frame."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Return the time when a GPU has done all it was told to do; on a CPU the work done."""
        if self._device.type == 'cpu':
            return process_time() * 1e3
        torch.cuda.synchronize(self._device)
        return perf_counter() * 1e3

    def watch(self, part: str, modules: list[nn.Module]) -> None:
        """Add the calls of these modules from now on."""
        for module in modules:
            module.register_forward_pre_hook(lambda *_: self._add(part, -self.now()))
            module.register_forward_hook(lambda *_: self._add(part, self.now()))

    def time(self, part: str, function: Callable[[], object]) -> None:
        """Add one call."""
        start = self.now()
        function()
        self._add(part, self.now() - start)

    def take(self) -> dict[str, float]:
        """Return the sums, and begin anew."""
        sums, self._sums = self._sums, defaultdict(float)
        return sums

    def _add(self, part: str, milliseconds: float) -> None:
        self._sums[part] += milliseconds


class Known:
    """Stands in for a tracker's memory: detection i is track i, told at once."""

    def __init__(self, slots: int) -> None:
        self._probability = torch.eye(TRACKS, slots + 1)

    def probabilities(self, features: Tensor, time: float) -> Tensor:
        """Return who they are."""
        return self._probability[: len(features)].clone()

    def remembered(self) -> Tensor:
        """Return that all slots are in use."""
        return torch.ones(self._probability.shape[1] - 1, dtype=torch.bool)

    def clear(self) -> None:
        """Forget nothing."""

    def forget(self, labels: Tensor) -> None:
        """Forget nothing."""

    def forget_older(self, time: float) -> None:
        """Forget nothing."""

    def append(self, features: Tensor, labels: Tensor, time: float) -> None:
        """Remember nothing."""


class Run:
    """A network, an image and TRACKS tracks, timed frame by frame.

    Args:
        settings: Of the network.
        given: The command line.
        device: Where it runs.
        ours: In our fastest form, else as published.

    Attributes:
        frames: Milliseconds of each part in each frame.
        peak: Bytes of GPU memory in use at most while it detects as it runs, all networks loaded.
    """

    def __init__(
        self, settings: FdtaSettings, given: argparse.Namespace, device: torch.device, ours: bool
    ) -> None:
        self._clock, self._ours, self._time = Stopwatch(device), ours, 0
        self._device, self.frames, self.peak = device, [], 0
        self._image = torch.randn(1, 3, *given.size, device=device)
        network = Fdta(settings).eval().to(device)
        settle(network.detr.backbone, self._image)
        self._by_parts = fused(network.detr)
        half = given.half and device.type == 'cuda'
        if half:
            self._by_parts.half()
        for part, modules in detector_parts(self._by_parts).items():
            self._clock.watch(part, modules)
        self._detect = network.detr
        if ours:
            self._detect = FastDetector(network.detr, half)
        if ours and given.compile:
            mode = 'reduce-overhead' if device.type == 'cuda' else 'default'
            self._detect = torch.compile(self._detect.network, dynamic=False, mode=mode)
            self._image = self._image.half() if half else self._image
        if not ours:
            adapters = [network.trajectory_embedding, network.trajectory_modeling]
            self._clock.watch('adapter', adapters)
        self._memory = Trajectories(network, oldest=1e9)
        self._labels = torch.arange(TRACKS, device=device)
        for _ in range(ROWS - 1):
            self._memory.append(self._embeddings(), self._labels, float(self._tick()))
        self._tracker = FdtaTracker(network)
        self._tracker.trajectories = Known(network.id_decoder.newborn)

    def frame(self) -> None:
        """Time one more frame."""
        clock, gpu = self._clock, self._device.type == 'cuda'
        if gpu:
            torch.cuda.reset_peak_memory_stats(self._device)
        clock.time('detector, as it runs', lambda: self._detect(self._image))
        if gpu:
            self.peak = max(self.peak, torch.cuda.max_memory_allocated(self._device))
        clock.time('detector', lambda: self._by_parts(self._image.to(self._precision())))
        features, now = self._embeddings(), float(self._tick())
        clock.time('ask', lambda: self._memory.probabilities(features, now))
        clock.time('append', lambda: self._memory.append(features, self._labels, now))
        clock.time('assignment and tracks', self._track)
        spent = clock.take()
        if self._ours:
            adapter, decoding = spent['append'], spent['ask']
        else:
            adapter, decoding = spent['adapter'], spent['ask'] + spent['append'] - spent['adapter']
        told = {part: sum(spent[it] for it in names) for part, names in PARTS.items()}
        known = sum(value for part, value in told.items() if not part.startswith('…'))
        tracker = {
            'temporal adapter': adapter,
            'ID decoding': decoding,
            'assignment and tracks': spent['assignment and tracks'],
        }
        self.frames.append(
            {
                **told,
                'rest': spent['detector'] - known,
                'detector': spent['detector'],
                **tracker,
                'detector, as it runs': spent['detector, as it runs'],
                'frame': spent['detector, as it runs'] + sum(tracker.values()),
            }
        )

    def medians(self) -> dict[str, float]:
        """Return the milliseconds of each part, without the first frames."""
        warm = self.frames[2:]
        return {part: statistics.median(it[part] for it in warm) for part in warm[0]}

    def _track(self) -> None:
        boxes = np.arange(TRACKS)[:, None] * 60.0 + [0, 0, 50, 100]
        vectors = np.zeros((TRACKS, self._memory._like.shape[0]), np.float32)
        frame = Frame(self._time * PERIOD_NS, self._time, 1920, 1080)
        self._tracker.update(
            frame, Detections.of(boxes, np.full(TRACKS, 0.9)), Embeddings(vectors)
        )

    def _precision(self) -> torch.dtype:
        return self._by_parts.query_embed.weight.dtype

    def _embeddings(self) -> Tensor:
        width = self._by_parts.query_embed.weight.shape[1] // 2
        return torch.randn(TRACKS, width, device=self._device)

    def _tick(self) -> int:
        self._time += 1
        return self._time


@torch.no_grad()
def arithmetic(settings: FdtaSettings, size: list[int]) -> dict[str, float]:
    """Return the GFLOP of each part, of matrix products and convolutions alone."""
    with torch.device('meta'):
        network = Fdta(settings).eval()
        image = torch.empty(1, 3, *size)
    detector = fused(network.detr)
    names = {module: name for name, module in detector.named_modules()}
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        detector(image)
    counts = {name: sum(each.values()) for name, each in counter.get_flop_counts().items()}

    def count(modules: list[nn.Module]) -> float:
        return sum(counts.get(f'DeformableDetr.{names[it]}', 0) for it in modules) / 1e9

    parts = detector_parts(detector)
    told = {part: sum(count(parts[it]) for it in wanted) for part, wanted in PARTS.items()}
    known = sum(value for part, value in told.items() if not part.startswith('…'))
    whole = counter.get_total_flops() / 1e9
    return {**told, 'rest': whole - known, 'detector': whole, **_identity_arithmetic(network)}


def _identity_arithmetic(network: Fdta) -> dict[str, float]:
    """Return the GFLOP of telling TRACKS identities by the ROWS − 1 rows before."""
    width, rows, decoder = network.id_decoder.width, ROWS - 1, network.id_decoder
    adapter = network.trajectory_embedding
    with torch.device('meta'):
        features, labels = torch.empty(TRACKS, width), torch.zeros(TRACKS, dtype=torch.int64)
        known = torch.empty(1, 1, rows, TRACKS, width)
        missing = torch.zeros(1, 1, rows, TRACKS, dtype=torch.bool)
        times = torch.empty(1, rows, dtype=torch.float64)
        seen = torch.zeros(TRACKS, rows * TRACKS, dtype=torch.bool)
    with FlopCounterMode(display=False) as first, sdpa_kernel(SDPBackend.MATH):
        if adapter.relative:
            past = known.new_empty(rows * TRACKS, len(adapter.trca), 2, width)
            network.remember(features, labels, past, seen, times[0, :1].expand(TRACKS))
        else:
            network.trajectory_modeling(adapter(known, missing, times))
    with FlopCounterMode(display=False) as second, sdpa_kernel(SDPBackend.MATH):
        if adapter.relative:
            kept = known.new_empty(1 + rows * TRACKS, len(decoder.cross_attn_layers), 2, 2 * width)
            decoder.decode(features, kept, known.new_empty(rows * TRACKS))
        else:
            history = History(known, labels.expand(1, 1, rows, -1), missing, times)
            now = times[:, :1]
            decoder(history, Current(features[None, None, None], missing[:, :, :1], now))
    return {
        'temporal adapter': first.get_total_flops() / 1e9,
        'ID decoding': second.get_total_flops() / 1e9,
    }


def parameters(network: Fdta) -> Table:
    """Return millions of parameters by part, beside the published ones."""
    parts = detector_parts(network.detr)
    own = {
        'ResNet-50': parts['backbone'],
        'depth predictor': parts['depth'],
        'depth attention': parts['depth attention'],
        'temporal adapter': [network.trajectory_embedding],
        'trajectory modelling': [network.trajectory_modeling],
        'ID decoder': [network.id_decoder],
    }
    counts = {part: sum(map(_count, modules)) for part, modules in own.items()}
    counts['rest of the detector'] = _count(network) - sum(counts.values())
    table = Table('part', 'million parameters', 'published', title='release')
    for part, published in PUBLISHED.items():
        table.add_row(part, f'{counts[part] / 1e6:.2f}', f'{published:.2f}')
    table.add_row('all', f'{_count(network) / 1e6:.2f}', f'{sum(PUBLISHED.values()):.2f}')
    return table


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def costs(
    first: dict[str, float], second: dict[str, float], work: list[dict[str, float]], title: str
) -> Table:
    """Return times and arithmetic of release and improved, part by part."""
    table = Table(title=title)
    for heading in ('part', 'release ms', 'improved ms', 'ratio', 'GFLOP', 'GFLOP'):
        table.add_column(heading, justify='left' if heading == 'part' else 'right')
    for part, spent in first.items():
        cells = [f'{each[part]:.1f}' if part in each else '' for each in work]
        ratio = f'{spent / second[part]:.2f}'
        table.add_row(part, f'{spent:.2f}', f'{second[part]:.2f}', ratio, *cells)
    rates = [1e3 / each['frame'] for each in (first, second)]
    table.add_row('frames/s', *(f'{rate:.2f}' for rate in rates), f'{rates[1] / rates[0]:.2f}')
    return table


def spatial_share(costs: dict[str, float]) -> float:
    """Return the share in % that the Spatial Adapter has of a frame, all in the same form."""
    tracker = 'temporal adapter', 'ID decoding', 'assignment and tracks'
    frame = costs['detector'] + sum(costs.get(part, 0) for part in tracker)
    return 100 * sum(costs[part] for part in SPATIAL) / frame


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--half', action='store_true', help='float16, on a GPU')
    parser.add_argument('--compile', action='store_true', help='improved by torch.compile')
    parser.add_argument('--size', type=int, nargs=2, default=[800, 1440], metavar=('H', 'W'))
    parser.add_argument('--stride', type=int, help='pixels per depth token of improved')
    parser.add_argument('--repeat', type=int, default=5)
    given = parser.parse_args()
    device, console = choose_device(given.device), Console(width=110)
    torch.manual_seed(0)
    ours = improved()
    if given.stride:
        spatial = ours.spatial.model_copy(update={'token_stride': given.stride})
        ours = ours.model_copy(update={'spatial': spatial})
    console.print(parameters(Fdta(release())))
    with torch.inference_mode():
        runs = [Run(s, given, device, s is ours) for s in (release(), ours)]
        for _ in range(given.repeat + 2):
            for run in runs:
                run.frame()
    gpu = device.type == 'cuda'
    where = torch.cuda.get_device_name(device) if gpu else f'{torch.get_num_threads()} threads'
    size = '×'.join(map(str, given.size))
    work = [arithmetic(settings, given.size) for settings in (release(), ours)]
    times = [run.medians() for run in runs]
    console.print(costs(*times, work, f'{size}, {TRACKS} tracks × {ROWS} frames, {where}'))
    for name, spent, flop in zip(('release', 'improved'), times, work, strict=True):
        told = (
            f'{spatial_share(spent):.1f} % of the time, {spatial_share(flop):.1f} % of the GFLOP'
        )
        console.print(f'Spatial Adapter, {name}: {told}')
    if gpu:
        peaks = ' and '.join(f'{run.peak / 2**30:.2f}' for run in runs)
        console.print(f'GPU memory of release and improved, GiB: {peaks}')
    console.print(PAPER)


if __name__ == '__main__':
    main()
