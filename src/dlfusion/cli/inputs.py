"""Reading a model's inputs from files: NumPy arrays, and images for models that take images."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image
from PIL.Image import DecompressionBombError

from dlfusion.errors import InputError
from dlfusion.graph.graph import Array
from dlfusion.runtime.program import ArrayPort

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")

# The statistics of ImageNet that the classifiers of torchvision are trained with, per channel of RGB in 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

# Classifiers are tested on the central 224 pixels of a shorter side of 256.
IMAGENET_MARGIN = 256 / 224

UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, struct.error, zlib.error, BadZipFile, DecompressionBombError)
"""What NumPy and Pillow raise for files that are damaged, or that would fill the memory."""


def read_inputs(files: Sequence[Path], ports: Sequence[ArrayPort]) -> tuple[Array, ...]:
    """One array for each input of the model, from one .npz with all of them or one .npy or image for each, in order.

    Raises:
        InputError: a file is missing or unreadable, or its array does not fit the input.
    """
    if len(files) == 1 and files[0].suffix.lower() == ".npz":
        return _from_archive(files[0], ports)
    if len(files) != len(ports):
        raise InputError(
            f"the model's inputs are {_listed(ports)}, but {len(files)} files were given; "
            "give one --input FILE for each, in this order, or one .npz that holds all"
        )
    return tuple(_from_file(file, port) for file, port in zip(files, ports, strict=True))


def image_array(image: Image.Image, shape: tuple[int, ...]) -> Array:
    """An image as a float32 batch of `shape`, N x C x H x W with C 3 or 1, cropped in its middle.

    Three channels: RGB, resized so that the crop leaves ImageNet's margin, minus ImageNet's mean, over its deviation.
    One channel: luminance in 0..1, resized so that it just covers H x W. All N images are the same.

    Raises:
        InputError: the shape is not one of an image.
    """
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise InputError(
            f"an image fits inputs of shape N x 3 x H x W or N x 1 x H x W, but this input is {_text(shape)}; "
            "give a .npy file"
        )
    _, channels, height, width = shape
    margin = IMAGENET_MARGIN if channels == 3 else 1.0
    scale = max(height * margin / image.height, width * margin / image.width)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    resized = image.convert("RGB" if channels == 3 else "L").resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.asarray(resized.crop((left, top, left + width, top + height)), np.float64) / 255
    if channels == 3:
        pixels = (pixels - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    planes = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(planes, shape), np.float32)


def _from_archive(file: Path, ports: Sequence[ArrayPort]) -> tuple[Array, ...]:
    _require(file)
    _require_start(file, b"PK", "a .npz archive")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except UNREADABLE as error:
        raise InputError(f"{file} cannot be read as .npz: {error}") from error
    unnamed = [f"arr_{index}" for index in range(len(ports))]
    names = unnamed if list(arrays) == unnamed else [port.name for port in ports]
    if sorted(arrays) != sorted(names):
        raise InputError(
            f"{file} holds {sorted(arrays)}, but the model's inputs are {_listed(ports)}; save just these, by name: "
            "numpy.savez(FILE, **{NAME: ARRAY})"
        )
    for name in names:
        if not isinstance(arrays[name], np.ndarray):  # NumPy hands over what is no array as bytes
            raise InputError(f"{file} is damaged: {name} in it is no array; write it with numpy.savez")
    return tuple(_fitting(arrays[name], port, file) for name, port in zip(names, ports, strict=True))


def _from_file(file: Path, port: ArrayPort) -> Array:
    _require(file)
    suffix = file.suffix.lower()
    if suffix == ".npy":
        _require_start(file, b"\x93NUMPY", "a .npy file")
    try:
        if suffix == ".npy":
            return _fitting(np.load(file, allow_pickle=False), port, file)
        if suffix in IMAGE_SUFFIXES:
            with Image.open(file) as image:
                return image_array(image, port.shape)
    except UNREADABLE as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    raise InputError(f"{file} is neither .npy nor an image ({', '.join(IMAGE_SUFFIXES)}); convert it to one of them")


def _require(file: Path) -> None:
    if not file.is_file():
        raise InputError(f"the input file {file} does not exist; check the path")


def _require_start(file: Path, start: bytes, what: str) -> None:
    """Refuses other content here: NumPy would take it for pickled objects and advise to load them unsafely."""
    try:
        with file.open("rb") as stream:
            found = stream.read(len(start))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if found != start:
        raise InputError(f"{file} is not {what}: it starts with {found!r}; write it with numpy.save or numpy.savez")


def _fitting(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], port: ArrayPort, file: Path) -> Array:
    """The array, which must be float32 of the input's shape: nothing is rounded, and no shape guessed."""
    if array.dtype.newbyteorder("=") != np.float32:
        raise InputError(
            f"{file} holds {array.dtype} for input {port.name}, which takes float32; "
            "save it as such: numpy.save(FILE, ARRAY.astype(numpy.float32))"
        )
    if array.shape != port.shape:
        raise InputError(
            f"{file} holds an array of shape {_text(array.shape)} for input {port.name}, "
            f"which is {_text(port.shape)}; reshape it, or compile the model with --shape {port.name}=..."
        )
    return np.ascontiguousarray(array, np.float32)


def _listed(ports: Sequence[ArrayPort]) -> str:
    return ", ".join(f"{port.name} {_text(port.shape)}" for port in ports)


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
