"""A program written by hand, as small as one can be: two blocks that add and scale, on any number of cores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlfusion.runtime.program import ArrayPort, Program, Unit, read_headers, runtime_unit, weights_digest

INCLUDE_FOLDER = Path(__file__).parents[2] / "src" / "dlfusion" / "targets" / "cpu" / "include"
HEADER_NAMES = ("runtime.hpp", "thread_pool.hpp", "cpu_features.hpp", "memory.hpp", "sha256.hpp", "dlfusion.h")

_BLOCKS = """#include "blocks.hpp"

// tensors = x + weights[0], in bands of rows; scratch must be this core's own.
void add_block(const dlfusion::Run& run, int core) {
  for (int row = ROWS * core / CORES; row < ROWS * (core + 1) / CORES; row++) {
    for (int column = 0; column < COLUMNS; column++) {
      run.scratch[column] = run.inputs[0][row * COLUMNS + column] + run.weights[0];
    }
    for (int column = 0; column < COLUMNS; column++) run.tensors[row * COLUMNS + column] = run.scratch[column];
  }
}

// y = tensors * weights[1] on one core; ten times that is the second output.
void scale_block(const dlfusion::Run& run, int) {
  for (int element = 0; element < ROWS * COLUMNS; element++) {
    run.outputs[0][element] = run.tensors[element] * run.weights[1];
    run.outputs[1][element] = run.outputs[0][element] * 10.0f;
  }
}
"""

_HEADER = """#pragma once
#include "runtime.hpp"

constexpr int ROWS = {rows}, COLUMNS = {columns}, CORES = {cores};
void add_block(const dlfusion::Run& run, int core);
void scale_block(const dlfusion::Run& run, int core);
"""

_MODEL = """#include "blocks.hpp"

namespace dlfusion {{

static const long shape[] = {{1, ROWS, COLUMNS}};
static const Port inputs[] = {{{{"x", 3, shape}}}};
static const Port outputs[] = {{{{"y", 3, shape}}, {{"z", 3, shape}}}};
static const Block blocks[] = {{{{"add", add_block, CORES}}, {{"scale", scale_block, 1}}}};
extern const Program program;
const Program program = {{"tiny", "{sha256}", 1, inputs, 2, outputs, 2, blocks, CORES,
                         8, ROWS * COLUMNS * sizeof(float), COLUMNS * sizeof(float)}};

}}  // namespace dlfusion
"""


def tiny_program(
    *, cores: int = 2, rows: int = 6, columns: int = 5, add: float = 1.0, isa_flags: Sequence[str] = ("-mavx2", "-mfma")
) -> Program:
    """A program that computes y = (x + add) * 3 and z = 10 y for x of 1 x rows x columns."""
    weights = np.array([add, 3.0], np.float32)
    shape = (1, rows, columns)
    program = Program(
        name="tiny",
        inputs=(ArrayPort("x", shape),),
        outputs=(ArrayPort("y", shape), ArrayPort("z", shape)),
        isa="avx2",
        cores=cores,
        units=(),
        headers={},
        weights=weights,
        weights_sha256=weights_digest(weights),
    )
    library = read_headers(INCLUDE_FOLDER)
    headers = {name: library[name] for name in HEADER_NAMES}
    headers["blocks.hpp"] = _HEADER.format(rows=rows, columns=columns, cores=cores)
    units = (
        Unit("blocks.cpp", _BLOCKS, tuple(isa_flags)),
        Unit("model.cpp", _MODEL.format(sha256=program.weights_sha256), tuple(isa_flags)),
        runtime_unit((INCLUDE_FOLDER / "runtime.cpp").read_text(encoding="utf-8"), isa_flags),
    )
    return Program(
        name=program.name,
        inputs=program.inputs,
        outputs=program.outputs,
        isa=program.isa,
        cores=cores,
        units=units,
        headers=headers,
        weights=weights,
        weights_sha256=program.weights_sha256,
        documents={"plan.json": "{}\n"},
    )


def expected(x: NDArray[np.float32], add: float = 1.0) -> NDArray[np.float32]:
    """What the program's first output must be."""
    return (x + np.float32(add)) * np.float32(3.0)
