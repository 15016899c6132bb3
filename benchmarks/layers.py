"""How close each convolution kernel comes to the machine's arithmetic peak: `python -m benchmarks.layers`.

Runs single layers on one core. The peak is that of a loop of multiply-adds in registers, measured in the same run, in
turn with the layers. "Warm" repeats a layer on the same memory; "cold" goes round copies of input, weights and output
that together exceed the second-level cache. Shares are of the best peak seen; times are minimum and median. A share
can pass 100 %: operations are counted with the padding, as everywhere, but kernels skip rows that lie in it; and those
of Winograd's algorithms are counted as those of the direct method, of which they do a part.
"""

import argparse
import ctypes
import json
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlfusion.layers.layer import Network
from dlfusion.machine.host import host
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.targets.cpu.isa import ISAS, Isa, choose_isa, require_native
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import (
    conv_1x1,
    conv_blocked,
    conv_few_outputs,
    conv_first,
    conv_planar,
    conv_transpose,
    depthwise,
    winograd,
)
from dlfusion.targets.cpu.peak import PeakMeter
from dlfusion.targets.cpu.precision import Precision
from tests.targets.cpu.kernel_harness import Rows, Step, Tensor, aligned, compile_library, single_layer

COLD_BYTES = 24 << 20
"""What the copies of one layer's memory add up to at least, for cold runs: larger than second-level caches."""


@dataclass
class Subject:
    """One layer with one kernel, ready to run on its `memory`, and what was measured of it (seconds of each run)."""

    name: str
    operations: int
    lowered: Lowered
    warm: Callable[[], None]
    cold: list[Callable[[], None]]
    memory: list[tuple[object, ...]]
    warm_seconds: list[float] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)


def convolution(
    inputs: int, outputs: int, size: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1
) -> Network:
    """A convolution of "same" padding with ReLU, on seeded random weights."""
    generator = np.random.default_rng(1)
    pad = (kernel - 1) // 2
    weights = generator.standard_normal((outputs, inputs // groups, kernel, kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    operator = Conv((kernel, kernel), (stride, stride), (pad, pad, pad, pad), groups=groups)
    return single_layer(operator, [(1, inputs, *size)], [weights, bias], [Step(Clip(0.0))])


def transposed(inputs: int, outputs: int, size: tuple[int, int], operator: ConvTranspose) -> Network:
    """A transposed convolution on seeded random weights."""
    generator = np.random.default_rng(1)
    weights = generator.standard_normal((inputs, outputs, *operator.kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    return single_layer(operator, [(1, inputs, *size)], [weights, bias])


def blocked_layers() -> dict[str, Network]:
    """The layers of ResNet, VGG, AlexNet and MobileNetV2 that direct convolution must run near the peak."""
    return {
        "3x3 64-64 @56": convolution(64, 64, (56, 56), 3),
        "3x3 128-128 @28": convolution(128, 128, (28, 28), 3),
        "3x3 256-256 @14": convolution(256, 256, (14, 14), 3),
        "3x3 512-512 @7": convolution(512, 512, (7, 7), 3),
        "3x3 s2 128-128 @56": convolution(128, 128, (56, 56), 3, 2),
        "5x5 64-192 @27": convolution(64, 192, (27, 27), 5),
        "3x3 384-384 @13": convolution(384, 384, (13, 13), 3),
    }


def pointwise_layers() -> dict[str, Network]:
    """1x1 convolutions of ResNet-50 and MobileNetV2; maps of 112 columns on four rows, as in fused blocks."""
    return {
        "1x1 256-64 @56": convolution(256, 64, (56, 56), 1),
        "1x1 64-256 @56": convolution(64, 256, (56, 56), 1),
        "1x1 1024-256 @14": convolution(1024, 256, (14, 14), 1),
        "1x1 256-1024 @14": convolution(256, 1024, (14, 14), 1),
        "1x1 s2 256-512 @56": convolution(256, 512, (56, 56), 1, 2),
        "1x1 32-16 @4x112": convolution(32, 16, (4, 112), 1),
        "1x1 16-96 @4x112": convolution(16, 96, (4, 112), 1),
        "1x1 96-24 @56": convolution(96, 24, (56, 56), 1),
        "1x1 24-144 @56": convolution(24, 144, (56, 56), 1),
        "1x1 144-24 @56": convolution(144, 24, (56, 56), 1),
        "1x1 192-32 @28": convolution(192, 32, (28, 28), 1),
        "1x1 64-384 @14": convolution(64, 384, (14, 14), 1),
        "1x1 576-96 @14": convolution(576, 96, (14, 14), 1),
        "1x1 960-160 @7": convolution(960, 160, (7, 7), 1),
        "1x1 320-1280 @7": convolution(320, 1280, (7, 7), 1),
    }


def first_layers() -> dict[str, Network]:
    """Layers that read few channels."""
    return {
        "7x7 s2 3-64 @224": convolution(3, 64, (224, 224), 7, 2),
        "11x11 s4 3-64 @224": convolution(3, 64, (224, 224), 11, 4),
        "3x3 3-64 @224": convolution(3, 64, (224, 224), 3),
        "3x3 s2 3-32 @224": convolution(3, 32, (224, 224), 3, 2),
        "5x5 1-64 @8x960": convolution(1, 64, (24, 960), 5),
        "3x3 1-64 @8x512": convolution(1, 64, (24, 512), 3),
    }


WIDE_MAP = 512
"""Columns from which on a layer runs only for the middle third of its rows: 8 of 24, as in a step of a fused block."""


def planar_layers() -> dict[str, Network]:
    """FSRCNN's layers."""
    size = (24, 960)
    return {
        "5x5 1-56 @8x960": convolution(1, 56, size, 5),
        "1x1 56-12 @8x960": convolution(56, 12, size, 1),
        "3x3 12-12 @8x960": convolution(12, 12, size, 3),
        "1x1 12-56 @8x960": convolution(12, 56, size, 1),
    }


def few_output_layers() -> dict[str, Network]:
    """Last layers of DnCNN, of ESPCN, and of a network from images to images."""
    return {
        "3x3 64-1 @8x512": convolution(64, 1, (24, 512), 3),
        "3x3 32-4 @8x960": convolution(32, 4, (24, 960), 3),
        "9x9 64-3 @8x512": convolution(64, 3, (24, 512), 9),
    }


def depthwise_layers() -> dict[str, Network]:
    """Depthwise layers of MobileNetV2 and V3; all maps but the one of 144 x 56 x 56 fit the second-level cache."""
    return {
        "dw 3x3 192 @28": convolution(192, 192, (28, 28), 3, groups=192),
        "dw 3x3 384 @14": convolution(384, 384, (14, 14), 3, groups=384),
        "dw 3x3 s2 192 @28": convolution(192, 192, (28, 28), 3, 2, groups=192),
        "dw 3x3 144 @56": convolution(144, 144, (56, 56), 3, groups=144),
        "dw 3x3 144 @8x56": convolution(144, 144, (8, 56), 3, groups=144),
        "dw 3x3 960 @7": convolution(960, 960, (7, 7), 3, groups=960),
        "dw 5x5 240 @14": convolution(240, 240, (14, 14), 5, groups=240),
        "dw 5x5 s2 72 @56": convolution(72, 72, (56, 56), 5, 2, groups=72),
    }


def transposed_layers() -> dict[str, Network]:
    """FSRCNN's last layer and a step up of U-Net."""
    last = ConvTranspose((9, 9), (2, 2), (4, 4, 4, 4), output_padding=(1, 1))
    return {
        "9x9 s2 up 56-1 @8x960": transposed(56, 1, (24, 960), last),
        "2x2 s2 up 128-64 @56": transposed(128, 64, (56, 56), ConvTranspose((2, 2), (2, 2))),
    }


def winograd_layers() -> dict[str, Network]:
    """Layers of VGG, ResNet and Inception with kernels that Winograd's algorithms suit."""
    return {
        "3x3 64-64 @56": convolution(64, 64, (56, 56), 3),
        "3x3 128-128 @28": convolution(128, 128, (28, 28), 3),
        "3x3 256-256 @14": convolution(256, 256, (14, 14), 3),
        "3x3 512-512 @7": convolution(512, 512, (7, 7), 3),
        "5x5 64-192 @27": convolution(64, 192, (27, 27), 5),
    }


def lowered_layers(isa: Isa, precision: Precision) -> list[tuple[str, Network, Lowered]]:
    """Each layer with the kernel to measure; those of Winograd with one for each size of tiles."""
    groups = (
        (blocked_layers(), conv_blocked),
        (pointwise_layers(), conv_1x1),
        (first_layers(), conv_first),
        (planar_layers(), conv_planar),
        (few_output_layers(), conv_few_outputs),
        (transposed_layers(), conv_transpose),
        (depthwise_layers(), depthwise),
    )
    found = []
    for networks, kernel in groups:
        for name, network in networks.items():
            ways = (way.stored(precision) for way in kernel.candidates(network.layers[0], network, isa))
            found.append((name, network, min(ways, key=lambda way: way.cycles)))
    for name, network in winograd_layers().items():
        ways = (way.stored(precision) for way in winograd.candidates(network.layers[0], network, isa))
        found += [(f"{name} {way.algorithm}", network, way) for way in ways]
    return found


def prepare(name: str, network: Network, lowered: Lowered, function: Callable[..., None], isa: Isa) -> Subject:
    """Allocates the layer's memory, once for warm runs and several times for cold ones."""
    layer = network.layers[0]
    shape, output_shape = network.shape(layer.reads[0].value), network.shape(layer.output)
    height = output_shape[2]
    rows = (height // 3, height - height // 3) if shape[3] >= WIDE_MAP else (0, height)
    memory: list[tuple[object, ...]] = []
    image = np.random.default_rng(2).standard_normal(shape[1:]).astype(np.float32)

    def call() -> tuple[Callable[[], None], int]:
        source = Tensor(shape[1:], lowered.input_layouts[0], lowered.input_pads[0], isa.lanes, shape[2])
        source.write(image, 0, shape[2])
        target = Tensor(output_shape[1:], lowered.output_layout, lowered.output_pads, isa.lanes, output_shape[2])
        constants = aligned(lowered.constants.finish())
        inputs, output = (Rows * 1)(source.rows()), target.rows()
        arguments = (ctypes.byref(inputs), ctypes.byref(output), ctypes.c_void_p(constants.ctypes.data))

        memory.append((source, target, constants))

        def run() -> None:
            function(*arguments, *rows, 0, 1)

        return run, source.memory.nbytes + target.memory.nbytes + constants.nbytes

    warm, size = call()
    copies = max(2, -(-COLD_BYTES // size))
    parameters = [array.shape for array in network.graph.parameters(layer.anchor)]
    operations = layer.anchor.operator.operations([shape], parameters) * (rows[1] - rows[0]) // height
    return Subject(name, operations, lowered, warm, [call()[0] for _ in range(copies)], memory)


def seconds(function: Callable[[], None]) -> float:
    """One run's wall-clock time."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(subjects: list[Subject], meter: PeakMeter, rounds: int) -> float:
    """Fills in the subjects' times; returns the peak of one core in operations per second."""
    peaks = []
    for index in range(rounds):
        for subject in subjects:
            peaks.append(meter.sample())
            subject.warm()
            subject.warm_seconds += [seconds(subject.warm) for _ in range(4)]
            copies = subject.cold
            subject.cold_seconds += [seconds(copies[(2 * index + turn) % len(copies)]) for turn in range(2)]
    return meter.rates(peaks)[0].operations_per_second


def main() -> None:
    """Measure, print the table, write the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", choices=sorted(ISAS), help="default: the best of this CPU for the precision")
    parser.add_argument("--precision", choices=sorted(Precision), default=Precision.FP32)
    parser.add_argument("--rounds", type=int, default=15, help="each has four warm and two cold runs of every layer")
    parser.add_argument("--clang", action="store_true", help="compile with clang (the ziglang wheel) instead of g++")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/layers.json"), help="where samples go")
    options = parser.parse_args()
    isa = choose_isa(options.isa, Precision(options.precision))
    require_native(isa)
    layers = lowered_layers(isa, Precision(options.precision))
    library = compile_library([lowered for _, _, lowered in layers], isa, options.clang)
    subjects = [
        prepare(name, network, lowered, getattr(library, f"case_{index}"), isa)
        for index, (name, network, lowered) in enumerate(layers)
    ]
    with PeakMeter(host(), isa, (1,)) as meter:
        peak = 1e-9 * measure(subjects, meter, options.rounds)
    print(
        f"{isa.name}, {options.precision}, peak of fp32 {peak:.1f} GFLOP/s on one core; "
        f"share of peak: warm min, warm median, cold min, cold median"
    )
    for subject in subjects:
        shares = [
            f"{1e-9 * subject.operations / value / peak:7.1%}"
            for samples in (subject.warm_seconds, subject.cold_seconds)
            for value in (min(samples), statistics.median(samples))
        ]
        best = min(subject.warm_seconds)
        rate = 1e-9 * subject.operations / best
        kernel = re.sub(r", Epilogue<[^>]*>", "", subject.lowered.function)
        print(f"{subject.name:25} {kernel:42} {1e3 * best:8.3f} ms {rate:7.1f} GFLOP/s {' '.join(shares)}")
    record = {
        "isa": isa.name,
        "precision": options.precision,
        "compiler": "clang" if options.clang else "g++",
        "peak_operations_per_second": 1e9 * peak,
        "layers": [
            {
                "name": subject.name,
                "kernel": subject.lowered.function,
                "operations": subject.operations,
                "estimated_cycles": subject.lowered.cycles,
                "warm_seconds": subject.warm_seconds,
                "cold_seconds": subject.cold_seconds,
            }
            for subject in subjects
        ],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
