"""What a frame costs, stage by stage: networks of full size with random weights, at 1080p.

    python benchmarks/cost.py                     # real-time choices, on a GPU if there is one
    python benchmarks/cost.py --choice seeds --objects 10
    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive \
        python benchmarks/cost.py --device cpu --objects 1 10 --frames 2

Rendered people, whose true boxes stand for the detector's: random networks find nothing sensible,
so the detector is timed beside the others on the same images. Every stage returns its result to
the CPU, so all its work on a GPU is done when its clock stops. On a CPU the time is the
processor's, of all threads together, which others' work hardly changes. Medians after the first
frames. Random weights are for timing alone.
"""

from __future__ import annotations

import argparse
import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns, process_time_ns
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers
from rich.console import Console
from rich.table import Table

from mot_perception.config import Config
from mot_perception.depthseg.checkpoint import save_autoencoder
from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.depthseg.full_frame_autoencoder import FullFrameAutoencoder
from mot_perception.models import Models, load_models
from mot_perception.perception.sbs import SbsS50
from mot_perception.perception.yolox import Yolox
from mot_perception.pipeline import Pipeline
from mot_perception.scenes.scene import make_scene
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import Detections, Embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = 1920, 1080
WARM_UP = 2
LARGE_SAM = {
    'hidden_size': 144,
    'blocks_per_stage': [2, 6, 36, 4],
    'embed_dim_per_stage': [144, 288, 576, 1152],
    'num_attention_heads_per_stage': [2, 4, 8, 16],
    'window_size_per_stage': [8, 4, 16, 8],
    'global_attention_blocks': [23, 33, 43],
    'window_positional_embedding_background_size': [7, 7],
}
LARGE_VIT = {
    'hidden_size': 1024,
    'num_hidden_layers': 24,
    'num_attention_heads': 16,
    'image_size': 384,
    'patch_size': 16,
    'mlp_ratio': 4,
    'use_mask_token': False,
}
IMAGENET = {'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225]}


def folder(module: torch.nn.Module, place: Path, processor: str, size: int) -> str:
    """Write a network of transformers with what its images are scaled to."""
    transformers.utils.logging.disable_progress_bar()
    module.save_pretrained(place)
    settings = {
        'image_processor_type': processor,
        'do_resize': True,
        'size': {'height': size, 'width': size},
        'do_rescale': True,
        'rescale_factor': 1 / 255,
        'do_normalize': True,
        **IMAGENET,
    }
    (place / 'preprocessor_config.json').write_text(json.dumps(settings))
    return str(place)


def file(module: torch.nn.Module, place: Path) -> str:
    """Write the weights of one of our own networks."""
    torch.save(module.state_dict(), place)
    return str(place)


def depth_anything(place: Path) -> str:
    """Write a Depth Anything V2 Small."""
    config = transformers.DepthAnythingConfig(depth_estimation_type='metric', max_depth=20)
    network = transformers.DepthAnythingForDepthEstimation(config)
    return folder(network, place, 'DPTImageProcessor', 518)


def depth_pro(place: Path) -> str:
    """Write a Depth Pro, 952 million parameters."""
    vit = transformers.Dinov2Config(**LARGE_VIT)
    parts = {f'{part}_model_config': vit for part in ('image', 'patch', 'fov')}
    config = transformers.DepthProConfig(use_fov_model=True, **parts)
    network = transformers.DepthProForDepthEstimation(config)
    return folder(network, place, 'DepthProImageProcessor', 1536)


def sam2(place: Path, backbone: dict | None = None) -> str:
    """Write a SAM 2.1, tiny unless told otherwise."""
    config = transformers.Sam2VideoConfig()
    for name, value in (backbone or {}).items():
        setattr(config.vision_config.backbone_config, name, value)
    if backbone:
        config.vision_config.backbone_channel_list = backbone['embed_dim_per_stage'][::-1]
    return folder(transformers.Sam2VideoModel(config), place, 'Sam2ImageProcessor', 1024)


def settings(choice: str, place: Path, device: str) -> Config:
    """Write the networks of a choice and return its configuration."""
    fast = choice == 'real-time'
    encoder = place / 'encoder.safetensors'
    save_autoencoder(CropAutoencoder() if fast else FullFrameAutoencoder(), encoder, {})
    size = 's' if fast else 'x'
    detector = {'backend': 'yolox', 'model': file(Yolox(size, 1), place / 'yolox.pth')}
    if not fast:
        detector |= {'height': 800, 'width': 1440}
    depth = depth_anything(place / 'depth') if fast else depth_pro(place / 'depth')
    values = {
        'models': {'device': device},
        'detector': detector,
        'depth': {'backend': 'transformers', 'model': depth},
        'masks': {'backend': 'sam2', 'model': sam2(place / 'sam', None if fast else LARGE_SAM)},
        'depthseg': {'backend': 'encoder', 'model': str(encoder)},
        'appearance': {'backend': 'stripes'}
        if fast
        else {'backend': 'fastreid', 'model': file(SbsS50(), place / 'sbs.pth')},
    }
    return Config.model_validate(values)


def associate(config: Config, objects: int, clock: Callable[[], int]) -> float:
    """Return the median milliseconds of an association with two cues of 2048 dimensions."""
    tracker, rng, spent = SelfTrEncMotTracker(config.tracker), np.random.default_rng(0), []
    for shot in make_scene(figures=objects, frames=60):
        count = len(shot.boxes)
        cues = (rng.standard_normal((count, 2048), np.float32) for _ in range(3))
        seen = Embeddings(*cues, np.ones(count, np.bool_))
        start = clock()
        tracker.update(shot.frame, Detections.of(shot.boxes, np.full(count, 0.9)), seen)
        spent.append(clock() - start)
    return float(np.median(spent[20:])) / 1e6


class TimedPipeline(Pipeline):
    """A pipeline that times its stages by a clock of one's choice, in nanoseconds."""

    clock: Callable[[], int]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = self.clock()
        yield
        self.timings[stage].append(self.clock() - start)


def measure(
    config: Config, models: Models, objects: int, frames: int
) -> tuple[dict[str, float], float]:
    """Return the median milliseconds of each stage, and GiB of GPU memory at its peak."""
    pipeline = TimedPipeline(config, models)
    gpu = torch.cuda.is_available() and config.models.device != 'cpu'
    clock = pipeline.clock = perf_counter_ns if gpu else process_time_ns
    alone = associate(config, objects, clock)  # first, as it also compiles the tracker's loops
    warm_up = WARM_UP if gpu else 1  # a CPU has no kernels to choose
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    scene = make_scene(figures=objects, frames=frames + warm_up, width=SIZE[0], height=SIZE[1])
    detection, total = [], []
    for shot in scene:
        start = clock()
        if models.detector is not None:
            models.detector.detect([shot.frame.image])
        detection.append(clock() - start)
        pipeline.step(shot.frame, Detections.of(shot.boxes, np.full(len(shot.boxes), 0.9)))
        total.append(clock() - start)
    spent = {'detection': detection, **pipeline.timings, 'end to end': total}
    times = {stage: float(np.median(list(each)[warm_up:])) / 1e6 for stage, each in spent.items()}
    times['association alone'] = alone
    return times, torch.cuda.max_memory_allocated() / 2**30 if gpu else 0.0


def main() -> None:
    """Print a table: stages by numbers of objects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--choice', choices=['real-time', 'seeds'], default='real-time')
    parser.add_argument('--objects', type=int, nargs='+', default=[1, 10, 50])
    parser.add_argument('--frames', type=int, default=20)
    parser.add_argument('--device', default='auto')
    given = parser.parse_args()
    torch.manual_seed(0)
    with TemporaryDirectory() as place, torch.no_grad():
        config = settings(given.choice, Path(place), given.device)
        models = load_models(config)
        results = [measure(config, models, count, given.frames) for count in given.objects]
        models.close()
    where = torch.cuda.get_device_name() if results[0][1] else f'{torch.get_num_threads()} threads'
    table = Table(title=f'{given.choice} choices, 1080p, {where}: ms a frame')
    for heading in ('stage', *(f'{count} objects' for count in given.objects)):
        table.add_column(heading, justify='left' if heading == 'stage' else 'right')
    for stage in results[0][0]:
        table.add_row(stage, *(f'{times[stage]:.2f}' for times, _ in results))
    rates = [1e3 / times['association alone'] for times, _ in results]
    table.add_row('associations/s', *(f'{rate:.0f}' for rate in rates))
    table.add_row('frames/s', *(f'{1e3 / times["end to end"]:.2f}' for times, _ in results))
    if results[0][1]:
        table.add_row('GPU memory, GiB', *(f'{peak:.1f}' for _, peak in results))
    Console().print(table)


if __name__ == '__main__':
    main()
