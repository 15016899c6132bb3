"""What a user of a built project can do wrong, and data parallelism."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion.graph.graph import Array
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.mlu100.target import TIMES_FILE, WEIGHTS_FILE
from tests.support.random_graphs import random_inputs
from tests.targets.mlu100.projects import Run, build, run
from tests.targets.mlu100.test_generated import BLOCK_SECONDS, project, toy

SHAPE = (1, 10)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(), tmp_path_factory.mktemp("toy"))


@pytest.fixture
def damaged(program: Path) -> Path:
    """A copy of the weights, to be damaged."""
    copy = program.parent / "copy.bin"
    copy.write_bytes((program.parent / WEIGHTS_FILE).read_bytes())
    return copy


def called(program: Path, *options: str, inputs: tuple[Array, ...] | None = None) -> Run:
    given = random_inputs(toy().graph, 0) if inputs is None else inputs
    return run(program, given, [SHAPE], options)


def test_a_damaged_weights_file_is_refused(program: Path, damaged: Path) -> None:
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-8])
    done = called(program, "--weights", damaged.name)
    assert done.status == 1
    assert f"{damaged.name} has {len(whole) - 8} bytes, but the model's weights have {len(whole)}" in done.complaints
    damaged.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    done = called(program, "--weights", damaged.name)
    assert done.status == 1
    assert "its digest is wrong" in done.complaints
    done = called(program, "--weights", "none.bin")
    assert "toy: cannot open none.bin" in done.complaints


def test_more_cores_than_the_device_has_are_refused(program: Path) -> None:
    done = called(program, "--data-parallelism", "3")
    assert done.status == 1
    assert "data parallelism is 3 and blocks run on up to 16 cores" in done.complaints
    assert "choose 1 to 2" in done.complaints


def test_ways_of_data_parallelism_are_computed_side_by_side(program: Path) -> None:
    graph = toy().graph
    ways = [random_inputs(graph, seed) for seed in (1, 2)]
    inputs = tuple(np.concatenate(arrays) for arrays in zip(*ways, strict=True))
    done = run(program, inputs, [(2, 10)], ["--data-parallelism", "2"])
    assert done.status == 0, done.complaints
    assert not done.complaints
    for row, way in zip(done.outputs[0], ways, strict=True):
        alone = called(program, inputs=way)
        np.testing.assert_array_equal(row, alone.outputs[0][0])
        np.testing.assert_allclose(row, evaluate(graph, way)[0][0], atol=2e-2)


def test_wrong_options_and_files_are_explained(program: Path) -> None:
    assert "unknown option --speed" in called(program, "--speed", "9").complaints
    assert "lacks its value" in called(program, "--runs").complaints
    assert "needs a whole number of at least 1, not '0'" in called(program, "--runs", "0").complaints
    short = (np.zeros(3, np.float32),)
    assert "has 12 bytes, but the input needs 3069" in called(program, inputs=short).complaints


def test_a_call_that_fails_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    made = project()
    broken = made.texts["model.cpp"].replace("block.filter({24, 16, 3, 3}", "block.filter({24, 16, 1, 9}")
    assert broken != made.texts["model.cpp"]
    program = build(replace(made, texts={**made.texts, "model.cpp": broken}), tmp_path)
    done = called(program)
    assert done.status == 1
    assert "toy: cnmlCreateConvOp for features_inner in block_2 failed: CNML_STATUS_" in done.complaints
    assert "leaked" not in done.complaints


def test_a_run_that_fails_halfway_waits_for_what_is_queued(tmp_path: Path) -> None:
    """Two ways on the last block's cores are more than the device has: four blocks are queued by then."""
    made = project()
    broken = made.texts["model.cpp"].replace('<LayerBlock>("block_4", 2)', '<LayerBlock>("block_4", 32)')
    assert broken != made.texts["model.cpp"]
    program = build(replace(made, texts={**made.texts, "model.cpp": broken}), tmp_path)
    ways = [random_inputs(toy().graph, seed) for seed in (1, 2)]
    inputs = tuple(np.concatenate(arrays) for arrays in zip(*ways, strict=True))
    done = called(program, "--data-parallelism", "2", inputs=inputs)
    assert done.status == 1
    assert "toy: cnmlComputeMlpOpForward_V3 for scores in block_4 failed: CNML_STATUS_OUTOFRANGE" in done.complaints
    assert "waits" not in done.complaints
    assert "wait in" not in done.complaints
    assert "leaked" not in done.complaints


TWO_CONTEXTS = """
#include <cstdio>
#include <thread>
#include <vector>
#include "model.h"

int main() {
  dlfusion_model* model = nullptr;
  dlfusion_context* contexts[2] = {};
  if (dlfusion_open("weights.bin", 0, &model) != DLFUSION_OK) return 1;
  for (dlfusion_context*& context : contexts) {
    std::thread([&] {
      if (dlfusion_create(model, &context) != DLFUSION_OK) std::fprintf(stderr, "%s\\n", dlfusion_error_text());
    }).join();
  }
  const std::vector<float> image(3 * 33 * 31, 0.5f);
  for (dlfusion_context* context : contexts) {
    const float* inputs[] = {image.data()};
    std::vector<float> scores(10);
    float* outputs[] = {scores.data()};
    std::vector<double> seconds(static_cast<std::size_t>(dlfusion_block_count()));
    if (dlfusion_run_timed(context, inputs, outputs, seconds.data()) != DLFUSION_OK) return 1;
    double sum = 0;
    for (const double block : seconds) sum += block;
    std::printf("%.1f %g\\n", sum * 1e6, static_cast<double>(scores[0]));
    std::thread(dlfusion_destroy, context).join();
  }
  dlfusion_close(model);
  return 0;
}
"""


def test_contexts_live_side_by_side_and_any_thread_may_use_them(tmp_path: Path) -> None:
    program = build(project(), tmp_path, TWO_CONTEXTS)
    times = {"DLFUSION_STANDIN_TIMES": str(tmp_path / TIMES_FILE)}
    done = run(program, [], [], environment=times)
    assert done.status == 0, done.complaints
    assert not done.complaints
    first, second = done.text.splitlines()
    assert first == second
    assert first.startswith(f"{sum(BLOCK_SECONDS) * 1e6:.1f} ")


FOLDER_AND_MEMORY = """
#include <cstdio>
#include <cstring>
#include <vector>
#include "model.h"

struct alignas(DLFUSION_WEIGHTS_ALIGNMENT) Line {
  char bytes[DLFUSION_WEIGHTS_ALIGNMENT];
};

float first_score(dlfusion_model* model) {
  dlfusion_context* context = nullptr;
  const std::vector<float> image(3 * 33 * 31, 0.5f);
  const float* inputs[] = {image.data()};
  std::vector<float> scores(10);
  float* outputs[] = {scores.data()};
  if (dlfusion_create(model, &context) != DLFUSION_OK) std::fprintf(stderr, "%s\\n", dlfusion_error_text());
  if (dlfusion_run(context, inputs, outputs) != DLFUSION_OK) std::fprintf(stderr, "%s\\n", dlfusion_error_text());
  dlfusion_destroy(context);
  dlfusion_close(model);
  return scores[0];
}

int main() {
  dlfusion_model* model = nullptr;
  if (dlfusion_open(".", DLFUSION_CHECK_DIGEST, &model) != DLFUSION_OK) return 1;
  const float expected = first_score(model);

  const std::size_t bytes = dlfusion_weights_bytes();
  std::vector<Line> memory(bytes / sizeof(Line) + 2);
  std::FILE* file = std::fopen("weights.bin", "rb");
  if (std::fread(memory.data(), 1, bytes, file) != bytes) return 1;
  std::fclose(file);
  if (dlfusion_open_memory(memory.data(), bytes, DLFUSION_CHECK_DIGEST, &model) != DLFUSION_OK) return 1;
  if (first_score(model) != expected) return 1;

  if (dlfusion_open_memory(nullptr, bytes, 0, &model) != DLFUSION_INVALID_ARGUMENT) return 1;
  if (dlfusion_open_memory(memory.data(), bytes - 4, 0, &model) != DLFUSION_WRONG_WEIGHTS) return 1;
  if (dlfusion_open_memory(memory[0].bytes + 4, bytes, 0, &model) != DLFUSION_INVALID_ARGUMENT) return 1;
  if (std::strstr(dlfusion_error_text(), "begin 4 bytes after a multiple of 64") == nullptr) return 1;
  memory[0].bytes[0] ^= 1;
  if (dlfusion_open_memory(memory.data(), bytes, DLFUSION_CHECK_DIGEST, &model) != DLFUSION_WRONG_WEIGHTS) return 1;
  std::puts("done");
  return 0;
}
"""


def test_weights_come_from_a_folder_or_from_memory(tmp_path: Path) -> None:
    done = run(build(project(), tmp_path, FOLDER_AND_MEMORY), [], [])
    assert (done.status, done.text, done.complaints) == (0, "done\n", "")


def test_random_inputs_follow_the_seed(program: Path) -> None:
    first, again, other = (called(program, "--seed", seed, inputs=()) for seed in ("1", "1", "2"))
    np.testing.assert_array_equal(first.outputs[0], again.outputs[0])
    assert (first.outputs[0] != other.outputs[0]).any()
