"""Published weights out of a single file: read without running code of it, checked key by key."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST = 4 << 30
"""Bytes of a file, and of what it unpacks to; the largest published network here has 1 GB."""
NESTED = 'model', 'state_dict', 'ema_model'
"""Names under which training programs keep the weights, beside the optimiser's state."""
NAMED = 10
"""Keys of each kind that an error lists."""
LARGEST_PICKLE = 1 << 26
"""Bytes of the part of a zipped file that is unpickled: names and shapes, no numbers."""
_MAKES_BYTES = b'bytearray\n'
"""How a pickle calls the one thing that makes as many bytes as a mere number says."""
_ZIP = b'PK\x03\x04'
"""What makes torch take a file for a zipped one, whatever lies behind."""
_CHUNK = 1 << 22


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint by name, on the CPU.

    Args:
        file: safetensors, or what `torch.save` writes: a state dict, or a dict with one under a
            name of `NESTED`. What `DataParallel` puts before names (`module.`) is left out.

    Raises:
        UserError: Not there, too large, damaged, or with more in it than tensors and numbers.
    """
    try:
        with file.open('rb'):
            size = file.stat().st_size
    except OSError as error:
        raise UserError(
            f'{file}: cannot be read ({error.strerror}); give the file with the weights'
        ) from None
    if size > LARGEST:
        raise UserError(f'{file}: {size} bytes; files with weights have {LARGEST} at most')
    content = _read_safetensors(file) if file.suffix == '.safetensors' else read_pickle(file)
    weights = _state_dict(content)
    if not weights:
        raise UserError(f'{file}: holds no weights; give the file that training has written')
    return weights


def read_pickle(file: Path) -> Any:
    """Return what `torch.save` wrote, by torch's unpickler of tensors and plain values only.

    Raises:
        UserError: It is damaged, takes too much memory, or holds something else.
    """
    with file.open('rb') as stream:
        zipped = stream.read(len(_ZIP)) == _ZIP
    if zipped:
        _check_zip(file)
    elif _contains(file, _MAKES_BYTES):
        raise UserError(f'{file}: holds more than tensors and numbers; copy it again')
    try:
        with torch.serialization.safe_globals(_numbers()):
            return torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes say
        raise UserError(
            f'{file}: cannot be read as weights ({_line(error)}); it is damaged or holds more '
            'than tensors and numbers: copy it again, or save its state dict as safetensors'
        ) from None


def load_weights(
    module: torch.nn.Module, weights: Mapping[str, torch.Tensor], file: Path, what: str
) -> None:
    """Copy weights into a network that has the same keys and shapes.

    Args:
        module: The network; on the meta device it takes the tensors themselves, of whatever
            precision, so that they are in memory once.
        weights: Tensors by name, none missing and none left over; the counters
            `num_batches_tracked` may be.
        file: Where they come from, for errors.
        what: The network's name, for errors.

    Raises:
        UserError: Which keys are missing, unexpected or of another shape; or a weight is no
            finite number.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in weights and not _is_counter(key)]
    unexpected = [key for key in weights if key not in own and not _is_counter(key)]
    reshaped = [
        f'{key} {_shape(weights[key])} instead of {_shape(tensor)}'
        for key, tensor in own.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    faults = {'missing': missing, 'unexpected': unexpected, 'of another shape': reshaped}
    if any(faults.values()):
        said = '; '.join(_listed(name, keys) for name, keys in faults.items() if keys)
        raise UserError(f'{file}: not the weights of {what}: {said}')
    wanted = {key: weights[key] for key in own if key in weights}
    for key, tensor in wanted.items():
        if not tensor.isfinite().all():
            raise UserError(f'{file}: {key} holds NaN or infinite numbers; copy the file again')
    empty = any(tensor.is_meta for tensor in own.values())
    if empty:
        wanted = {
            key: tensor if tensor.is_floating_point() else tensor.to(own[key].dtype)
            for key, tensor in wanted.items()
        }
    module.load_state_dict(wanted, strict=False, assign=empty)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, as `sha256sum` says it."""
    summed = hashlib.sha256()
    with file.open('rb') as stream:
        while chunk := stream.read(_CHUNK):
            summed.update(chunk)
    return summed.hexdigest()


def _read_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f'{file}: no whole safetensors file ({_line(error)}); copy it again'
        ) from None


def _check_zip(file: Path) -> None:
    """Refuse what would take more memory than weights do."""
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > LARGEST:
                raise UserError(f'{file}: unpacks to {unpacked} bytes; {LARGEST} at most are read')
            pickled = [it for it in archive.infolist() if it.filename.endswith('.pkl')]
            if any(entry.file_size > LARGEST_PICKLE for entry in pickled) or any(
                _MAKES_BYTES in archive.read(entry) for entry in pickled
            ):
                raise UserError(f'{file}: holds more than tensors and numbers; copy it again')
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError) as error:
        raise UserError(f'{file}: damaged ({_line(error)}); copy it again') from None


def _contains(file: Path, needle: bytes) -> bool:
    """Return whether the bytes occur anywhere."""
    kept = b''
    with file.open('rb') as stream:
        while chunk := stream.read(_CHUNK):
            if needle in kept + chunk:
                return True
            kept = chunk[-len(needle) :]
    return False


def _numbers() -> list[Any]:
    """Return what numpy's numbers are pickled with: training programs note scores with them."""
    scalar = np.float64(0).__reduce__()[0]  # lives in numpy.core or numpy._core
    kinds = [type(np.dtype(kind)) for kind in ('f2', 'f4', 'f8', 'i4', 'i8', '?')]
    names = 'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _state_dict(content: Any) -> dict[str, torch.Tensor]:
    for name in NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict):
        return {}
    tensors = {
        key: tensor
        for key, tensor in content.items()
        if isinstance(key, str) and isinstance(tensor, torch.Tensor) and _is_plain(tensor)
    }
    if all(key.startswith('module.') for key in tensors):
        return {key.removeprefix('module.'): tensor for key, tensor in tensors.items()}
    return tensors


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether it holds numbers: not sparse, quantised or without memory of its own."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized
    return dense and tensor.device.type == 'cpu'


def _is_counter(key: str) -> bool:
    return key.endswith('num_batches_tracked')


def _listed(name: str, keys: list[str]) -> str:
    more = ', …' if len(keys) > NAMED else ''
    return f'{len(keys)} {name} ({", ".join(map(_in_line, keys[:NAMED]))}{more})'


def _in_line(key: str) -> str:
    """Return the beginning of a key in one line, whatever it holds."""
    return ''.join(letter if letter.isprintable() else '?' for letter in key[:80])


def _shape(tensor: torch.Tensor) -> str:
    return '×'.join(map(str, tensor.shape)) or 'a number'


def _line(error: BaseException) -> str:
    """Return the first line of what a library says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
