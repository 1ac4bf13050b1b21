"""A network of transformers out of a folder or from the hub, on a device.

Weights are read from safetensors only, and no code that lies beside them is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers
from transformers.models.auto import modeling_auto

from mot_perception.errors import UserError
from mot_perception.perception.device import (
    choose_device,
    free,
    inference,
    weights_on_gpu,
)
from mot_perception.perception.pixels import of_whole_objects, read_preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.perception.device import HalfName
    from mot_perception.perception.pixels import Preprocessing

Kind = Literal['object detection', 'depth estimation', 'image features']

KINDS: dict[Kind, tuple[Any, Any]] = {
    'object detection': (
        transformers.AutoModelForObjectDetection,
        modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    ),
    'depth estimation': (
        transformers.AutoModelForDepthEstimation,
        modeling_auto.MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES,
    ),
    'image features': (transformers.AutoModel, modeling_auto.MODEL_FOR_IMAGE_MAPPING_NAMES),
}
FILES = 'config.json', 'preprocessor_config.json', '*.safetensors'
INDEX = '*.safetensors.index.json'
"""Beside weights that are split."""
HUB_NAME = re.compile(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*')
LARGEST_JSON = 1 << 20
_CHUNK = 1 << 22


class LoadedNetwork:
    """A network on its device, with what it expects of images.

    Args:
        module: What computes, with a `config` as transformers has it.
        preprocessing: What it expects of images.
        name: Its name and a part of the hash of its weights, for people.
        device: Where it runs; the module goes there.
        half: Compute with half precision on a GPU.
        number: Which half precision.

    Attributes:
        config: Its own settings, as transformers reads them.
        preprocessing: As given.
        name: As given.

    Raises:
        UserError: The device's memory does not suffice.
    """

    def __init__(
        self,
        module: Any,
        preprocessing: Preprocessing,
        name: str,
        device: torch.device,
        half: bool,
        number: HalfName = 'float16',
    ) -> None:
        self.config, self.preprocessing, self.name = module.config, preprocessing, name
        self._device, self._half, self._number = device, half, number
        try:
            self._module = module.eval().to(device).float()  # autocast takes half of it
        except torch.OutOfMemoryError:
            raise UserError(
                f'{name}: its weights do not fit into the memory of {device}; take a smaller '
                "network, or set models.device 'cpu'"
            ) from None

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Any:
        """Return the network's output for H×W×3 BGR images that scale to one common size.

        Raises:
            UserError: The device's memory does not suffice, or the network cannot take them.
        """
        pixels = torch.stack([self.preprocessing(image) for image in images])
        try:
            with inference(self.name, self._device, self._half, number=self._number):
                return self._module(self.preprocessing.normalised(pixels.to(self._device)))
        except UserError:
            raise
        except Exception as error:  # whatever its settings make of its layers
            raise UserError(
                f'{self.name}: fails at an image ({_line(error)}); its files do not fit together'
            ) from error

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._module, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._module = None
        free(self._device)


class Network(LoadedNetwork):
    """A network out of a folder or from the hub, with what its files say of its input.

    Args:
        model: A folder with `config.json`, `preprocessor_config.json` and `model.safetensors`; or
            its name on the hub, from where it is copied once.
        kind: What it is for.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        number: Which half precision.

    Raises:
        UserError: Not there, of another kind, not whole, or the device is not there.
    """

    def __init__(
        self, model: str, kind: Kind, device: str, half: bool, number: HalfName = 'float16'
    ) -> None:
        where = choose_device(device)
        folder = open_folder(model)
        config = _config(folder, kind)
        file = folder / 'preprocessor_config.json'
        settings = read_json(file)
        if kind == 'image features':
            settings = of_whole_objects(settings)
        preprocessing = read_preprocessing(settings, str(file))
        name = f'{Path(model).name} (sha256 {_digest(folder)[:8]})'
        module = _module(folder, config, kind)
        super().__init__(module, preprocessing, name, where, half, number)


def open_folder(model: str, files: Sequence[str] = FILES) -> Path:
    """Return the folder of a model; one of the hub is copied to the cache if it is not there.

    Args:
        model: A folder, or a name on the hub.
        files: Patterns of what it must hold; nothing else is copied but an index of weights.

    Raises:
        UserError: There is none.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not HUB_NAME.fullmatch(model):
        raise UserError(f'{model}: no such folder; give one that holds config.json and weights')
    import huggingface_hub as hub

    wanted = [*files, INDEX]
    try:
        cached = Path(hub.snapshot_download(model, allow_patterns=wanted, local_files_only=True))
        if all(any(cached.glob(pattern)) for pattern in files):
            return cached
    except (OSError, ValueError):
        pass  # not in the cache
    try:
        return Path(hub.snapshot_download(model, allow_patterns=wanted))
    except Exception as error:
        raise UserError(
            f'{model}: no such folder, and cannot be copied from the hub ({_line(error)}); '
            'give a folder that holds it'
        ) from None


def _config(folder: Path, kind: Kind) -> Any:
    where = folder / 'config.json'
    model_type = str(read_json(where).get('model_type'))
    _, known = KINDS[kind]
    if model_type not in known:
        some = ', '.join([name for name in known if 'doc' not in name and 'ocr' not in name][:12])
        raise UserError(f'{where}: {model_type!r:.40} is no network for {kind}; known: {some}, …')
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        raise UserError(f'{where}: cannot be read ({_line(error)}); copy it again') from None
    config._attn_implementation = None  # the usual one; a file could name code of the hub
    if getattr(config, 'max_depth', 1) is None:
        config.max_depth = 1  # as transformers read Depth Anything's published files once
    return config


def _module(folder: Path, config: Any, kind: Kind) -> Any:
    say = transformers.utils.logging
    say.set_verbosity_error()  # type: ignore[no-untyped-call]
    say.disable_progress_bar()  # type: ignore[no-untyped-call]
    loader, _ = KINDS[kind]
    try:
        module, report = loader.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # told below, in one line
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(
            f'{folder}: the weights cannot be loaded ({_line(error)}); '
            'give a folder with model.safetensors of this network'
        ) from None
    reshaped = {name for name, *_ in report['mismatched_keys']}
    missing = set(report['missing_keys'])
    if kind == 'image features' and any(name.startswith('pooler.') for name in missing):
        module.pooler = None  # published without one; a fresh one would pool at random
        missing = {name for name in missing if not name.startswith('pooler.')}
    if wrong := sorted(reshaped | missing):
        raise UserError(
            f'{folder}: {len(wrong)} weights are missing or of another shape, such as '
            f'{wrong[0]}; give those of this network'
        )
    return module


def read_json(file: Path) -> dict[str, Any]:
    """Return the settings that a file of a model holds.

    Raises:
        UserError: Not there, or something else.
    """
    try:
        with file.open('rb') as stream:
            values = json.loads(stream.read(LARGEST_JSON + 1))
    except OSError as error:
        raise UserError(
            f'{file}: cannot be read ({error.strerror}); copy it from where the weights come from'
        ) from None
    except (ValueError, RecursionError):
        raise UserError(f'{file}: not JSON; copy it from where the weights come from') from None
    if not isinstance(values, dict):
        raise UserError(f'{file}: holds no settings; copy it from where the weights come from')
    return values


def _digest(folder: Path) -> str:
    """Return the SHA-256 of the weights; of a single file the same as `sha256sum` says."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob('*.safetensors')):
        with file.open('rb') as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    """Return the first line of what a library says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
