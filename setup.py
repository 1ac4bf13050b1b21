"""Package data that lives outside the package: messages and configurations, as in a ROS tree."""

from glob import glob

from setuptools import find_namespace_packages, setup

setup(
    # Namespace packages too: folders that hold only message definitions or templates.
    packages=find_namespace_packages(include=['mot_perception', 'mot_perception.*']),
    package_data={'': ['py.typed', '*.msg', '*.html', '*.css', '*.js']},
    data_files=[
        ('share/mot_perception', ['package.xml']),
        ('share/mot_perception/msg', glob('msg/*.msg')),
        ('share/mot_perception/config', glob('config/*')),
        ('share/mot_perception/launch', glob('launch/*')),
    ],
)
