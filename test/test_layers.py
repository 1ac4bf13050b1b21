"""Imports point downwards, and importing the package costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mot_perception

PACKAGE = Path(mot_perception.__file__).parent
LAYERS = [
    {'errors', 'types', 'boxes', 'presence', 'resources'},
    {'motion', 'association'},
    {'perception'},
    {'depthseg', 'fdta'},
    {'trackers', 'scenes'},
    {'config'},
    {'models'},
    {'methods'},
    {'pipeline'},
    {'messages'},
    {'bags'},
    {'evaluation'},
    {'training'},
    {'runtime'},
    {'dds'},
    {'cli'},
    {'nodes'},
    {'__main__'},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
EXCEPT = {
    'messages': {'pipeline', 'methods', 'models', 'config', 'trackers'},
    'bags': {
        'pipeline',
        'methods',
        'models',
        'config',
        'trackers',
    },  # carries data, knows no tracker
    'evaluation': {'pipeline', 'methods', 'models', 'config', 'trackers'},
    'scenes': {'motion', 'association', 'perception', 'depthseg'},  # stands on types alone
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py'))


def imported(path: Path) -> set[str]:
    """Names of our modules and subpackages that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text('utf-8'))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            module = node.module or ''
            wanted = [f'{module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        else:
            continue
        names |= {w.split('.')[1] for w in wanted if w.startswith('mot_perception.')}
    return names & LEVEL.keys()


@pytest.mark.parametrize('path', MODULES, ids=str)
def test_imports_point_downwards(path):
    layer = path.parts[0].removesuffix('.py')
    if layer == '__init__':
        assert not imported(path)
        return
    assert layer in LEVEL, f'{layer} has no place among the layers'
    for name in imported(path):
        assert LEVEL[name] <= LEVEL[layer], f'{layer} imports {name}'
        assert name not in EXCEPT.get(layer, set()), f'{layer} imports {name}'


HEAVY = ['torch', 'transformers', 'tensorboard', 'rosbags', 'trackeval', 'matplotlib', 'cv2']
HEAVY += ['numba', 'rclpy']


@pytest.mark.parametrize(
    'module', ['mot_perception', 'mot_perception.types', 'mot_perception.cli.main']
)
def test_light(module):
    """Neither the package nor the command line's --help load what only some verbs need."""
    code = f'import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])'
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'


def test_models_load_without_torchvision():
    """The pinned torch and transformers fit together, and need nothing that is not pinned."""
    pytest.importorskip('torch')
    pytest.importorskip('transformers')
    code = (
        "import sys; sys.modules['torchvision'] = None; import torch, transformers; "
        'transformers.AutoModel; print(torch.ones(2).sum().item())'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '2.0'
