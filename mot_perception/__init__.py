"""Camera multi-object tracking for ROS 2: who is who, frame after frame."""

import pkgutil

# Under colcon the generated messages (mot_perception.msg) live in the install space while the
# source tree is imported from elsewhere; both are one package.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = '0.1.0'
