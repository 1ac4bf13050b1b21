"""What lives outside the package as in ROS: messages, configurations, launch files."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_namespace_packages, setup

SHARE = 'share/mot_perception'


def files(folder: Path) -> list[tuple[str, list[str]]]:
    """Return each folder below share/ with the files that go there, sub folders too."""
    here = sorted(str(entry) for entry in folder.iterdir() if entry.is_file())
    below = [it for it in sorted(folder.iterdir()) if it.is_dir() and it.name != '__pycache__']
    return [(f'{SHARE}/{folder}', here), *(pair for it in below for pair in files(it))]


setup(
    # Namespace packages too: folders that hold only message definitions or templates.
    packages=find_namespace_packages(include=['mot_perception', 'mot_perception.*']),
    package_data={
        '': ['py.typed', 'LICENSE', 'README.md', '*.msg', '*.html', '*.css', '*.js'],
        'mot_perception.weights': ['*.safetensors', 'MANIFEST.json'],
    },
    data_files=[
        (SHARE, ['package.xml']),
        *(pair for folder in ('msg', 'config', 'launch') for pair in files(Path(folder))),
    ],
)
