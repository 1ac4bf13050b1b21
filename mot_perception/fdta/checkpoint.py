"""Published and own checkpoints into the network, checked key by key; no code of them is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import torch
from pydantic import ValidationError
from torch.overrides import TorchFunctionMode

from mot_perception.errors import UserError
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import DataSet, FdtaSettings, release
from mot_perception.perception.checkpoint import load_weights, read_weights
from mot_perception.perception.weights_file import read_about, write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from mot_perception.fdta.deformable_detr import DeformableDetr

DETECTOR = 'detr.'
DEPTH = 'depth_predictor.', 'cross_attn_depth.', 'norm_depth.'
"""Parts that a detector without a Spatial Adapter does not have."""
AGES = 'id_decoder.rel_pos_embeds'
BINS = 'detr.depth_predictor.depth_classifier.bias'
SETTINGS = 'settings'
"""Under which name the settings of a network are noted beside its weights, as JSON."""

_RANDOM = torch.Tensor.uniform_, torch.Tensor.normal_


def save_network(network: Fdta, file: Path, about: Mapping[str, str]) -> None:
    """Write a network with its settings as safetensors, whole or not at all.

    Args:
        network: On any device.
        file: Named `.safetensors`; replaced if it is there.
        about: What is noted beside the weights and settings; see `read_about`.

    Raises:
        UserError: The file cannot be written.
    """
    weights = network.state_dict()
    for key in _first_names(network):
        del weights[key]
    write_weights(weights, file, {**about, SETTINGS: network.settings.model_dump_json()})


def open_network(file: Path, device: torch.device | str = 'cpu') -> Fdta:
    """Return the network that a file holds, ready for use.

    Args:
        file: What `save_network` wrote; or a checkpoint of the authors, whose data set is told
            from its shapes.
        device: Where it goes.

    Raises:
        UserError: Not there, damaged, with settings that cannot be, or of another network: which
            keys are missing, unexpected, or of another shape.
    """
    noted = read_about(file).get(SETTINGS) if file.suffix == '.safetensors' else None
    weights = read_weights(file)
    settings = _published(weights) if noted is None else _noted(file, noted)
    with _Unfilled():
        network = Fdta(settings)
    _load(file, weights, network)
    return network.eval().to(device)


def load_checkpoint(file: Path, network: Fdta) -> None:
    """Load the whole network.

    Args:
        file: What the authors published, or what our training wrote: a dict with the weights
            under `model`, or safetensors.
        network: Built for it; `release(data_set)` gives the settings of the published ones.

    Raises:
        UserError: Not there, damaged, or of another network: which keys are missing, unexpected,
            or of another shape.
    """
    _load(file, read_weights(file), network)


def load_detector(file: Path, detector: DeformableDetr, class_index: int = 1) -> None:
    """Load a pretrained Deformable DETR with box refinement, to start training from.

    What belongs to the Spatial Adapter keeps its values where the file does not have it.

    Args:
        file: A detector's checkpoint, or a tracker's, of which the detector is taken.
        detector: What it goes to.
        class_index: Which row of the file's classes is wanted, where it has another number of
            them: in COCO 1 is a person and 16 a bird.

    Raises:
        UserError: Not there, damaged, of another network, or without that class.
    """
    weights = read_weights(file)
    if any(key.startswith(DETECTOR) for key in weights):
        weights = {
            key.removeprefix(DETECTOR): tensor
            for key, tensor in weights.items()
            if key.startswith(DETECTOR)
        }
    own = detector.state_dict()
    for key in own.keys() & weights.keys():
        if key.startswith('class_embed.') and weights[key].shape != own[key].shape:
            weights[key] = _row(file, key, weights[key], class_index)
    for key, tensor in own.items():
        if any(part in key for part in DEPTH):
            weights.setdefault(key, tensor)
    _share(file, weights, detector)
    load_weights(detector, weights, file, 'Deformable DETR with these settings')


class _Unfilled(TorchFunctionMode):
    """Leaves out initial values: memory that nobody writes to is not taken, whatever the size."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, '__module__', '') == 'torch.nn.init' or func in _RANDOM:
            return kwargs.get('tensor', args[0] if args else None)
        return func(*args, **kwargs)


def _load(file: Path, weights: dict[str, Tensor], network: Fdta) -> None:
    if not any(key.startswith(DETECTOR) for key in weights) and 'query_embed.weight' in weights:
        raise UserError(
            f'{file}: holds a detector alone; give a checkpoint of the whole of FDTA, or start '
            'training from this one'
        )
    _share(file, weights, network)
    load_weights(network, weights, file, 'FDTA with these settings')


def _noted(file: Path, settings: str) -> FdtaSettings:
    try:
        return FdtaSettings.model_validate_json(settings)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = '.'.join(str(part) for part in fault['loc'])
        raise UserError(
            f'{file}: its settings are of no network ({place:.60}: {fault["msg"]:.200}); give a '
            'file that training has written'
        ) from None


def _published(weights: Mapping[str, Tensor]) -> FdtaSettings:
    """Return the settings of the checkpoint that these weights are, or resemble."""
    found = [weights[key].shape if key in weights else () for key in (AGES, BINS)]
    for data_set in get_args(DataSet):
        settings = release(data_set)
        if (found[0][1:2], found[1]) == ((settings.window,), (settings.spatial.bins + 1,)):
            return settings
    return release()


def _row(file: Path, key: str, tensor: Tensor, index: int) -> Tensor:
    if not tensor.ndim or not 0 <= index < len(tensor):
        raise UserError(f'{file}: {key} has no class {index}; choose another class')
    return tensor[index : index + 1]


def _first_names(module: torch.nn.Module) -> dict[str, str]:
    """Return, of each tensor with several names, all but the first, and which that is."""
    first: dict[int, str] = {}
    names = {}
    for key, tensor in module.state_dict(keep_vars=True).items():
        if (name := first.setdefault(id(tensor), key)) != key:
            names[key] = name
    return names


def _share(file: Path, weights: dict[str, Tensor], module: torch.nn.Module) -> None:
    """Give each name of what is one tensor here its value; refuse files with several values."""
    for key, other in _first_names(module).items():
        if key in weights:
            weights.setdefault(other, weights[key])
        elif other in weights:
            weights[key] = weights[other]
        if key in weights and not torch.equal(weights[key], weights[other]):
            raise UserError(
                f'{file}: {key} and {other} differ, but are one in this network; give a '
                'checkpoint of a detector with box refinement'
            )
