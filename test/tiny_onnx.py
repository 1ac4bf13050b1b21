"""ONNX files of a few bytes: whatever the image, they say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def write(
    file: Path,
    outputs: dict,
    *,
    takes=(1, 3, 64, 96),
    kind=onnx.TensorProto.FLOAT,
    about=None,
    more=(),
) -> Path:
    """Write a network that adds nothing times its image to constants.

    Args:
        file: Where to.
        outputs: Arrays of what it says, by name.
        takes: Shape of its image; text where it is free.
        kind: Of the image's numbers.
        about: Its metadata.
        more: Further inputs, which nothing uses.
    """
    helper, proto = onnx.helper, onnx.TensorProto
    image = helper.make_tensor_value_info('images', kind, takes)
    nodes = [
        helper.make_node('Cast', ['images'], ['exact'], to=proto.FLOAT),
        helper.make_node('ReduceMean', ['exact'], ['mean'], keepdims=0),
        helper.make_node('Mul', ['mean', 'zero'], ['nothing']),
    ]
    constants = [onnx.numpy_helper.from_array(np.float32(0).reshape(()), 'zero')]
    told = []
    for name, values in outputs.items():
        constants.append(onnx.numpy_helper.from_array(np.asarray(values), f'{name}.values'))
        dtype = helper.np_dtype_to_tensor_dtype(np.asarray(values).dtype)
        nodes.append(helper.make_node('CastLike', ['nothing', f'{name}.values'], [f'{name}.none']))
        nodes.append(helper.make_node('Add', [f'{name}.none', f'{name}.values'], [name]))
        told.append(helper.make_tensor_value_info(name, dtype, None))
    graph = helper.make_graph(nodes, 'constant', [image, *more], told, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, about or {})
    onnx.save(model, file)
    return file
