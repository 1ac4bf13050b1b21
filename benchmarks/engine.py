"""What the machinery of a node adds, models and transport apart: time per image, and memory.

A 1080p image and its detections go in as serialised messages; what is timed ends with the
serialised tracks. Reference: decoding the same image alone.

    python benchmarks/engine.py [--images 10000]
"""

from __future__ import annotations

import argparse
import resource
from dataclasses import replace
from threading import Event
from time import perf_counter

import numpy as np

from mot_perception.config import Config
from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.detections import detections_to_message
from mot_perception.messages.images import decode_image, encode_image
from mot_perception.messages.mapping import to_time
from mot_perception.messages.typestore import DETECTIONS, IMAGE, message_classes
from mot_perception.models import load_models
from mot_perception.runtime.engine import Engine
from mot_perception.types import Detections

OBJECTS = 20
PERIOD_NS = 33_000_000
MAKE = message_classes()


class Clockwork:
    """Ports that note when the tracks of an image come out."""

    def __init__(self) -> None:
        self.done = Event()
        self.at = 0.0
        self.lines: list[str] = []

    def publish(self, camera: str, output: str, data: bytes) -> None:
        """Note the time."""
        self.at = perf_counter()
        self.done.set()

    def wanted(self, camera: str, output: str) -> bool:
        """Nobody listens to what is drawn."""
        return False

    def has_field(self, output: str, field: str) -> bool:
        """Speak the newest version of every message."""
        return True

    def topic(self, camera: str, role: str) -> str:
        """Name a topic."""
        return f'/{role}'

    def now_ns(self) -> int:
        """Return a time."""
        return 0

    def log(self, level: str, text: str) -> None:
        """Keep what is logged."""
        self.lines.append(text)


class Standstill:
    """A detector that costs nothing, so that the image is decoded and nothing else."""

    name, class_names = 'standstill', ('person',)

    def __init__(self, xyxy: np.ndarray) -> None:
        self._found = Detections.of(xyxy)

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        """Return the same boxes for each image."""
        return [self._found for _ in images]


def serialised(number: int, pixels: np.ndarray, moving: np.ndarray) -> tuple[bytes, bytes]:
    """Return the messages of one frame."""
    header = MAKE.Header(stamp=to_time((number + 1) * PERIOD_NS, MAKE.Time), frame_id='camera')
    image = write_message(encode_image(pixels, 'rgb8', header, MAKE.Image), IMAGE)
    found = detections_to_message(Detections.of(moving), header, MAKE)
    return image, write_message(found, DETECTIONS)


def measure(images: int, *, decoded: bool) -> None:
    """Print the times with or without need of the pixels, and the memory while it runs."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (1080, 1920, 3), np.uint8)
    corners = generator.uniform(0, 900, (OBJECTS, 2))
    xyxy = np.concatenate([corners, corners + np.array([60, 160])], 1)
    config = Config.model_validate({'detector': {'backend': 'hog' if decoded else 'topic'}})
    models = load_models(config)
    if decoded:
        models = replace(models, detector=Standstill(xyxy))
    ports = Clockwork()
    engine = Engine(config, models, ports)
    engine.start()
    times, reference, memory = [], [], {}
    for number in range(images):
        xyxy += generator.normal(0, 1, (OBJECTS, 1))
        image, boxes = serialised(number, pixels, xyxy)
        ports.done.clear()
        if not decoded:
            engine.receive('', 'detections', boxes)
        start = perf_counter()
        engine.receive('', 'image', image)
        if not ports.done.wait(10):
            raise SystemExit(f'nothing came out: {ports.lines}')
        times.append(ports.at - start)
        if number % 50 == 0:
            start = perf_counter()
            decode_image(read_message(image, IMAGE))
            reference.append(perf_counter() - start)
        if number in {images // 100, images // 10, images - 1}:
            memory[number + 1] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    engine.stop()
    median, high = np.percentile(times[10:], (50, 95)) * 1e3
    alone = np.median(reference) * 1e3
    grown = ', '.join(f'{mib:.1f} after {count}' for count, mib in memory.items())
    print(
        f'pixels {"decoded" if decoded else "not needed":10}  {median:6.2f} ms'
        f'  95 %: {high:6.2f} ms  decoding alone: {alone:.2f} ms  peak MiB: {grown}'
    )


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('--images', type=int, default=10_000)
    images = parser.parse_args().images
    measure(images, decoded=False)
    measure(images, decoded=True)


if __name__ == '__main__':
    main()
