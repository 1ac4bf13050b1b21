"""A network out of an ONNX file, in ONNX Runtime."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST = (1 << 31) - 1
"""Bytes of a file: ONNX knows no larger ones."""
CPU, CUDA = 'CPUExecutionProvider', 'CUDAExecutionProvider'
NUMBERS = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}
"""What a network may take, by ONNX Runtime's names."""
SILENT = 4
"""Of ONNX Runtime's log: what is wrong is told in one line, as an error."""
NO_FOLDER = '/dev/null'
"""Where weights outside of the file would be looked for."""
_ELSEWHERE = re.compile(rb'(\n|\x8a\x80*\0)(\x08|\x88\x80*\0)$')
"""What stands before 'location' where a tensor says in which file its numbers are: the first
field of an entry, and that it has eight bytes; numbers may be written longer than they need be."""
_NO_MEMORY = 'allocate memory', 'bad_alloc', 'out of memory', 'Available memory'


class OnnxNetwork:
    """A loaded network that takes images.

    The file is read once and must hold its weights itself, so that the hash is theirs, and
    nothing in it can make other files be read.

    Args:
        file: Where it lies.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Attributes:
        name: Its file and a part of its hash, for people.
        about: What the file says of itself, by name.
        batch: Images that it takes at once; 0: any number.
        height: Of its images, pixels; 0: any.
        width: The same.

    Raises:
        UserError: Not there, damaged, not made for images; or the device is not there.
    """

    def __init__(self, file: Path, device: str) -> None:
        content = _read(file)
        self._file, self._bytes = file, len(content)
        self.name = f'{file.name} (sha256 {hashlib.sha256(content).hexdigest()[:8]})'
        self._session = _session(content, file, device)
        self.about: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        taken = self._session.get_inputs()
        shape = taken[0].shape if len(taken) == 1 else []
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise UserError(
                f'{file}: takes {_inputs(taken)}; a network is expected that takes '
                'batch×3×height×width'
            )
        if taken[0].type not in NUMBERS:
            raise UserError(f'{file}: takes {taken[0].type}; give one that takes tensor(float)')
        self._input, self._type = taken[0].name, NUMBERS[taken[0].type]
        self.batch, _, self.height, self.width = (
            side if isinstance(side, int) and side > 0 else 0 for side in shape
        )
        if self.batch > 1:
            raise UserError(f'{file}: takes {self.batch} images at once; export it for 1 or any')

    def __call__(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name.

        Args:
            images: B×3×h×w, in the scale of colour that the network expects.

        Raises:
            UserError: The device's memory does not suffice, or the network cannot take them.
        """
        assert self._session is not None, 'closed'
        values = images.astype(self._type, copy=False)
        names = [output.name for output in self._session.get_outputs()]
        try:
            found: Sequence[Any] = self._session.run(names, {self._input: values})
        except Exception as error:  # ONNX Runtime's own kinds have no common base
            raise UserError(self._why(error)) from None
        arrays = zip(names, map(np.asarray, found), strict=True)
        return {name: it for name, it in arrays if it.dtype.kind in 'fiu'}

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU: those of the file, very nearly."""
        on_gpu = self._session is not None and CUDA in self._session.get_providers()
        return self._bytes if on_gpu else 0

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._session = None

    def _why(self, error: Exception) -> str:
        """Say in one line why an image could not be looked at."""
        if any(words in str(error) for words in _NO_MEMORY):
            other = ", or set models.device 'cpu'" if self.gpu_bytes() else ''
            return (
                f'{self._file}: the memory does not suffice; export a smaller network, or this '
                f'one for smaller images{other}'
            )
        return f'{self._file}: fails at an image ({_line(error)}); export it again'


def _read(file: Path) -> bytes:
    """Return a file's content if it is not too large."""
    try:
        with file.open('rb') as stream:
            content = stream.read(min(file.stat().st_size, LARGEST) + 1)
    except OSError as error:
        raise UserError(f'{file}: cannot be read ({error.strerror}); give an ONNX file') from None
    if len(content) > LARGEST:
        raise UserError(f'{file}: ONNX files have {LARGEST} bytes at most; give another one')
    # ONNX Runtime looks for them where the program was started; older ones open any file at all.
    said = (found.start() for found in re.finditer(b'location', content))
    if any(_ELSEWHERE.search(content[max(start - 20, 0) : start]) for start in said):
        raise UserError(
            f'{file}: keeps its weights in other files; export it as one file '
            '(external_data=False)'
        )
    return content


def _session(content: bytes, file: Path, device: str) -> Any:
    """Load a network where it is wanted; with 'auto' on the CPU if the GPU cannot be used."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            'onnxruntime: not installed; run "pip install \'mot_perception[onnx]\'"'
        ) from None
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.add_session_config_entry('session.load_model_format', 'ONNX')
    options.add_session_config_entry(
        'session.model_external_initializers_file_folder_path', NO_FOLDER
    )
    if device == 'cpu' or (device == 'auto' and not _has_cuda(onnxruntime)):
        return _load(onnxruntime, content, file, options, [CPU])
    if not _has_cuda(onnxruntime):
        raise UserError(
            f'models.device {device!r}: this ONNX Runtime computes on the CPU alone; install '
            "onnxruntime-gpu in place of onnxruntime, or set 'auto' or 'cpu'"
        )
    number = int(device.partition(':')[2] or 0)
    session = _load(onnxruntime, content, file, options, [(CUDA, {'device_id': number}), CPU])
    if device != 'auto' and CUDA not in session.get_providers():
        raise UserError(
            f'models.device {device!r}: ONNX Runtime cannot use it; it needs that GPU and the '
            "libraries of CUDA and cuDNN, or set 'auto' or 'cpu'"
        )
    return session


def _has_cuda(onnxruntime: Any) -> bool:
    return CUDA in onnxruntime.get_available_providers()


def _load(onnxruntime: Any, content: bytes, file: Path, options: Any, providers: Any) -> Any:
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=providers, enable_fallback=False
        )
    except Exception as error:
        raise UserError(
            f'{file}: ONNX Runtime cannot load it ({_line(error)}); copy or export it again'
        ) from None


def _inputs(taken: Sequence[Any]) -> str:
    """Return names and shapes of the first inputs, in one line."""
    return ', '.join(f'{it.name!r:.30} {it.shape!s:.60}' for it in taken[:4]) or 'nothing'


def _line(error: BaseException) -> str:
    """Return the first line of what ONNX Runtime says, without where in its sources."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return said[0].removeprefix('[ONNXRuntimeError] : ')[:200]
