"""Package data that lives outside the package: messages and configurations, as in a ROS tree."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

SHARE = 'share/mot_perception'


def files(folder: str) -> tuple[str, list[str]]:
    """Return a folder below share/ with the files that go there."""
    return f'{SHARE}/{folder}', sorted(str(file) for file in Path(folder).glob('*.*'))


setup(
    # Namespace packages too: folders that hold only message definitions or templates.
    packages=find_namespace_packages(include=['mot_perception', 'mot_perception.*']),
    package_data={'': ['py.typed', '*.msg', 'LICENSE', '*.html', '*.css', '*.js']},
    data_files=[(SHARE, ['package.xml']), files('msg'), files('config')],
)
