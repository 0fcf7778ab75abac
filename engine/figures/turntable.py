"""Turning views as files: GIF by Pillow, MP4 (VP9) by OpenCV; both come with what is installed anyway."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from engine.readers.run import FigureError
from engine.runfolder import write_bytes, write_with

MILLISECONDS = 80


def write_gif(frames: np.ndarray, path: Path) -> None:
    """Write ``frames`` uint8 (F, H, W, 3) as a GIF that turns for ever."""
    palette = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 4)], axis=0)).quantize(128)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]

    def save(target: Path) -> None:
        pictures[0].save(
            target, save_all=True, append_images=pictures[1:], duration=MILLISECONDS, loop=0, optimize=False
        )

    write_with(path, save)


def write_mp4(frames: np.ndarray, path: Path) -> None:
    """Write ``frames`` uint8 (F, H, W, 3) as an MP4.

    Raises:
        FigureError: this build of OpenCV cannot encode it.
    """
    import cv2

    height, width = (int(side) // 2 * 2 for side in frames.shape[1:3])
    with tempfile.TemporaryDirectory(prefix="medtui-turn-") as place:
        target = Path(place) / "turn.mp4"
        code = cv2.VideoWriter.fourcc(*"vp09")
        writer = cv2.VideoWriter(str(target), code, 1000 / MILLISECONDS, (width, height))
        if not writer.isOpened():
            raise FigureError('OpenCV cannot write MP4 here; set figures.turntable = "gif"')
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
        writer.release()
        content = target.read_bytes() if target.exists() else b""
    if not content:
        raise FigureError('OpenCV wrote no MP4; set figures.turntable = "gif"')
    write_bytes(path, content)
