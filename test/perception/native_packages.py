"""Stand-ins for the packages depth_pro, sam2 and fastreid, with signatures like theirs."""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')

BLOCKS = {'t': 12, 's': 16, 'b+': 24, 'l': 48}


def put(monkeypatch, name, **content):
    """Make a module importable, and the packages that it lies in."""
    module = ModuleType(name)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def signature(package, path, name):
    """Return the parameters of a function as the installed package writes them; skip without."""
    spec = find_spec(package)
    if spec is None or not spec.origin:
        pytest.skip(f'{package} is not installed')
    tree = ast.parse((Path(spec.origin).parent / path).read_text())
    (found,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    return [part.arg for part in found.args.posonlyargs + found.args.args]


def parameters(function):
    """Return the names of a stand-in's parameters that can be given by position."""
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [it.name for it in inspect.signature(function).parameters.values() if it.kind in kinds]


class DepthPro(torch.nn.Module):
    """Sees inverse depth in the first channel, for a view as wide as it is far."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(1))
        self.encoder = torch.nn.ModuleDict({'fc_norm': torch.nn.LayerNorm(2)})

    def infer(self, x, f_px=None, interpolation_mode='bilinear'):
        assert x.shape[0] == 3, 'RGB, channels first'
        width = x.shape[-1]
        if f_px is None:
            f_px = torch.tensor(width / 2)
        inverse = self.scale * (x[0] + 1) / 2 * (width / f_px)
        f_px = f_px.squeeze()  # as Apple's: a plain number has none
        depth = 1 / torch.clamp(inverse, min=1e-4, max=1e4)
        return {'depth': depth.squeeze(), 'focallength_px': f_px}


@dataclass
class DepthProConfig:
    patch_encoder_preset: str = 'dinov2l16_384'
    checkpoint_uri: str | None = './checkpoints/depth_pro.pt'


def create_model_and_transforms(config=None, device='cpu', precision=torch.float32):
    assert config.checkpoint_uri is None, 'it would unpickle whatever is there'

    def transform(image):
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous  # torch takes no negative strides
        pixels = torch.from_numpy(image).permute(2, 0, 1).to(device).float()
        return (pixels / 127.5 - 1).to(precision)

    return DepthPro().to(device).to(precision), transform


def depth_pro(monkeypatch):
    put(monkeypatch, 'depth_pro', create_model_and_transforms=create_model_and_transforms)
    put(monkeypatch, 'depth_pro.depth_pro', DEFAULT_MONODEPTH_CONFIG_DICT=DepthProConfig())


class Sam2(torch.nn.Module):
    """Takes for an object whatever has the colour in the middle of its box."""

    image_size = 64

    def __init__(self, blocks, new):
        super().__init__()
        trunk = torch.nn.Module()
        trunk.blocks = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(blocks))
        self.image_encoder = torch.nn.Module()
        self.image_encoder.trunk = trunk
        if new:
            self.no_obj_embed_spatial = torch.nn.Parameter(torch.zeros(1, 2))
        self.states = []

    def init_state(
        self,
        video_path,
        offload_video_to_cpu=False,
        offload_state_to_cpu=False,
        async_loading_frames=False,
    ):
        files = sorted(Path(video_path).iterdir(), key=lambda file: int(file.stem))
        files = list(sys.modules['sam2.utils.misc'].tqdm(files, desc='frame loading (JPEG)'))
        assert all(file.suffix == '.jpg' for file in files)
        state = {'images': [cv2.imread(str(file)) for file in files], 'colours': {}, 'most': 0}
        self.states.append(state)
        return state

    def add_new_points_or_box(
        self,
        inference_state,
        frame_idx,
        obj_id,
        points=None,
        labels=None,
        clear_old_points=True,
        normalize_coords=True,
        box=None,
    ):
        assert box.shape == (4,)
        image = inference_state['images'][frame_idx]
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        inference_state['colours'][obj_id] = image[y, x].astype(int)
        inference_state['most'] = max(inference_state['most'], len(inference_state['colours']))
        return frame_idx, list(inference_state['colours']), None

    def propagate_in_video(
        self, inference_state, start_frame_idx=None, max_frame_num_to_track=None, reverse=False
    ):
        colours = inference_state['colours']
        bar = sys.modules['sam2.sam2_video_predictor'].tqdm
        for index in bar(range(len(inference_state['images'])), desc='propagate in video'):
            image = inference_state['images'][index]
            near = [np.abs(image - colour).max(2) < 25 for colour in colours.values()]
            logits = torch.from_numpy(np.stack(near)[:, None]) * 2.0 - 1
            yield index, list(colours), logits

    def reset_state(self, inference_state):
        inference_state['colours'] = {}


def build_sam2_video_predictor(
    config_file,
    ckpt_path=None,
    device='cuda',
    mode='eval',
    hydra_overrides_extra=(),
    apply_postprocessing=True,
    vos_optimized=False,
    **kwargs,
):
    assert ckpt_path is None
    folder, version, name = config_file.split('/')
    assert folder == 'configs'
    stem, letter = name.removesuffix('.yaml').split('_hiera_')
    assert stem == version
    return Sam2(BLOCKS[letter], version == 'sam2.1').to(device).eval()


def draw_a_bar(frames, desc=''):
    pytest.fail('draws progress bars')


def sam2(monkeypatch):
    put(monkeypatch, 'sam2')
    put(monkeypatch, 'sam2.build_sam', build_sam2_video_predictor=build_sam2_video_predictor)
    put(monkeypatch, 'sam2.utils')
    for name in ('sam2.utils.misc', 'sam2.sam2_video_predictor'):
        put(monkeypatch, name, tqdm=draw_a_bar)


class Settings(SimpleNamespace):
    """A configuration as yacs makes it."""

    def merge_from_file(self, cfg_filename):
        self.MODEL.WEIGHTS = Path(cfg_filename).read_text().removeprefix('WEIGHTS: ')


def get_cfg():
    backbone = SimpleNamespace(PRETRAIN=True)
    return Settings(
        MODEL=SimpleNamespace(WEIGHTS='', DEVICE='cuda', BACKBONE=backbone),
        INPUT=SimpleNamespace(SIZE_TEST=[6, 4]),
    )


class DefaultPredictor:
    """Describes images by their mean colour and a share of their brightest row."""

    def __init__(self, cfg):
        assert not cfg.MODEL.BACKBONE.PRETRAIN
        self.cfg = cfg
        self.model = torch.nn.Linear(3, 5).to(cfg.MODEL.DEVICE)

    def __call__(self, image):
        assert image.dtype == torch.float32
        assert image.shape[1:] == (3, *self.cfg.INPUT.SIZE_TEST)
        return torch.cat([image.mean((2, 3)), image.amax((1, 3))], 1)


def fastreid(monkeypatch):
    put(monkeypatch, 'fastreid')
    put(monkeypatch, 'fastreid.config', get_cfg=get_cfg)
    put(monkeypatch, 'fastreid.engine', DefaultPredictor=DefaultPredictor)
