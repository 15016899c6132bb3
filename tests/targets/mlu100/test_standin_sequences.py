"""Whole programs against the stand-in: both ways of use from end to end, times, and leaks."""

import re
from pathlib import Path

import numpy as np
import pytest

from dlfusion.ops.conv import Conv
from tests.targets.mlu100.standin_library import Finished, halves, run_again, run_program

PROLOGUE = """
#include <cstdio>
#include <cstdlib>
#include <vector>
#include "cnml.h"

#define CHECK(call)                                                  \\
  do {                                                               \\
    const int status = static_cast<int>(call);                       \\
    if (status != 0) {                                               \\
      std::fprintf(stderr, "%s returned %d\\n", #call, status);       \\
      std::exit(1);                                                  \\
    }                                                                \\
  } while (false)

const int CHANNELS = 5, OUTPUTS = 7, SIZE = 9, KERNEL = 3;

struct Pair {
  cnmlCpuTensor_t cpu;
  cnmlTensor_t device;
};

Pair make(cnmlTensorType_t type, int n, int c, int h, int w) {
  Pair pair;
  CHECK(cnmlCreateCpuTensor(&pair.cpu, type, CNML_DATA_FLOAT32, CNML_NCHW, n, c, h, w));
  CHECK(cnmlCreateTensor(&pair.device, type, CNML_DATA_FLOAT16, n, c, h, w));
  return pair;
}

void drop(Pair& pair) {
  CHECK(cnmlDestroyCpuTensor(&pair.cpu));
  CHECK(cnmlDestroyTensor(&pair.device));
}

std::vector<float> filled(int count, int step) {
  std::vector<float> values;
  for (int index = 0; index < count; ++index) values.push_back(((index * step) % 17 - 8) / 8.0f);
  return values;
}

int main() {
  CHECK(cnmlInit(0));
  unsigned int devices = 0;
  CHECK(cnrtGetDeviceCount(&devices));
  cnrtDev_t device;
  CHECK(cnrtGetDeviceHandle(&device, 0));
  CHECK(cnrtSetCurrentDevice(device));
  cnrtQueue_t queue;
  CHECK(cnrtCreateQueue(&queue));
  int ways = 1;
  unsigned int affinity = 1;
  cnrtInvokeFuncParam_t invoke = {&ways, &affinity, CNRT_PARAM_END};

  std::vector<float> weights = filled(OUTPUTS * CHANNELS * KERNEL * KERNEL, 5), biases = filled(OUTPUTS, 3);
  std::vector<float> x = filled(CHANNELS * SIZE * SIZE, 7), y(OUTPUTS * SIZE * SIZE);
  Pair in = make(CNML_TENSOR, 1, CHANNELS, SIZE, SIZE), mid = make(CNML_TENSOR, 1, OUTPUTS, SIZE, SIZE);
  Pair out = make(CNML_TENSOR, 1, OUTPUTS, SIZE, SIZE);
  Pair filter = make(CNML_FILTER, OUTPUTS, CHANNELS, KERNEL, KERNEL), bias = make(CNML_CONST, 1, OUTPUTS, 1, 1);
  cnmlConvOpParam_t parameter;
  CHECK(cnmlCreateConvOpParam(&parameter, 1, 1, 1, 1, 2, 2, CNML_NoSparse));
  cnmlBaseOp_t conv, relu;
  CHECK(cnmlCreateConvOp(&conv, parameter, in.device, mid.device, filter.device, bias.device));
  CHECK(cnmlBindConstData(filter.device, filter.cpu, weights.data()));
  CHECK(cnmlBindConstData(bias.device, bias.cpu, biases.data()));
  CHECK(cnmlCreateActiveOp(&relu, CNML_ACTIVE_RELU, mid.device, out.device));
  cnrtNotifier_t begin, end;
  CHECK(cnrtCreateNotifier(&begin));
  CHECK(cnrtCreateNotifier(&end));
  void* din = cnmlMallocBuffer(in.device);
  void* dout = cnmlMallocBuffer(out.device);
  CHECK(cnmlMemcpyTensorToDevice(in.cpu, x.data(), in.device, din));
"""

UNFUSED = """
  CHECK(cnmlCompileBaseOp(conv, CNML_MLU100, 4));
  CHECK(cnmlCompileBaseOp(relu, CNML_MLU100, 4));
  void* dmid = cnmlMallocBuffer(mid.device);
  CHECK(cnrtPlaceNotifier(begin, queue));
  CHECK(cnmlComputeConvOpForward_V3(conv, din, dmid, &invoke, queue));
  CHECK(cnmlComputeActiveOpForward_V3(relu, dmid, dout, &invoke, queue));
  CHECK(cnrtPlaceNotifier(end, queue));
  CHECK(cnrtSyncQueue(queue));
  CHECK(cnmlFreeBuffer(dmid));
"""

FUSED = """
  cnmlFusionOp_t fusion;
  CHECK(cnmlCreateFusionOp(&fusion));
  CHECK(cnmlFuseOp(conv, fusion));
  CHECK(cnmlFuseOp(relu, fusion));
  CHECK(cnmlSetFusionIO(fusion, &in.device, 1, &out.device, 1));
  CHECK(cnmlCompileFusionOp(fusion, CNML_MLU100, 16));
  int64_t needed = 0;
  CHECK(cnmlGetFusionOpRequiredStackSize(fusion, &needed));
  unsigned int present = 0;
  CHECK(cnrtGetStackMem(&present));
  if (needed > present) CHECK(cnrtSetStackMem(static_cast<unsigned int>(needed) + 50));
  CHECK(cnrtPlaceNotifier(begin, queue));
  CHECK(cnmlComputeFusionOpForward_V3(fusion, &din, 1, &dout, 1, &invoke, queue));
  CHECK(cnrtPlaceNotifier(end, queue));
  CHECK(cnrtSyncQueue(queue));
  CHECK(cnmlDestroyFusionOp(&fusion));
"""

EPILOGUE = """
  float microseconds = -1;
  CHECK(cnrtNotifierDuration(begin, end, &microseconds));
  CHECK(cnmlMemcpyTensorToHost(out.device, dout, out.cpu, y.data()));
  std::printf("%.9g\\n", microseconds);
  for (const float value : y) std::printf("%.9g\\n", value);
  CHECK(cnrtDestroyNotifier(&begin));
  CHECK(cnrtDestroyNotifier(&end));
  CHECK(cnmlFreeBuffer(din));
  CHECK(cnmlFreeBuffer(dout));
  CHECK(cnmlDestroyBaseOp(&conv));
  CHECK(cnmlDestroyBaseOp(&relu));
  CHECK(cnmlDestroyConvOpParam(&parameter));
  for (Pair* pair : {&in, &mid, &out, &filter, &bias}) drop(*pair);
  CHECK(cnrtDestroyQueue(queue));
  CHECK(cnmlExit());
  return 0;
}
"""


def filled(shape: tuple[int, ...], step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The same as `filled` in the program."""
    indices = np.arange(int(np.prod(shape)))
    return ((indices * step % 17 - 8) / 8).astype(np.float32).reshape(shape)


def assert_right(finished: Finished) -> float:
    """Checks the results of a program; returns its microseconds."""
    assert finished.status == 0, finished.complaints
    assert not finished.complaints
    microseconds, *numbers = map(float, finished.text.split())
    x, weights, bias = filled((1, 5, 9, 9), 7), filled((7, 5, 3, 3), 5), filled((7,), 3)
    expected = halves(Conv((3, 3), pads=(1, 1, 1, 1)).reference([x], [weights, bias]))
    result = np.array(numbers, np.float32).reshape(1, 7, 9, 9)
    np.testing.assert_array_equal(result, np.maximum(expected, 0))
    return microseconds


@pytest.mark.parametrize(("calls", "microseconds"), [(UNFUSED, 5.75), (FUSED, 1.5)], ids=["unfused", "fused"])
def test_both_ways_of_use_from_end_to_end(calls: str, microseconds: float, tmp_path: Path) -> None:
    measured = assert_right(run_program(tmp_path, PROLOGUE + calls + EPILOGUE, {"DLFUSION_STANDIN_STRICT": "1"}))
    assert measured > 0
    times = tmp_path / "times.txt"
    times.write_text("# microseconds\n1.5 first\n\n4.25\n", encoding="utf-8")
    simulated = run_again(tmp_path / "program", {"DLFUSION_STANDIN_TIMES": str(times)})
    assert assert_right(simulated) == microseconds


def test_wrong_times_are_reported_and_few_are_repeated(tmp_path: Path) -> None:
    times = tmp_path / "times.txt"
    times.write_text("1.5\n", encoding="utf-8")
    environment = {"DLFUSION_STANDIN_TIMES": str(times), "DLFUSION_STANDIN_VERBOSE": "1"}
    assert assert_right(run_program(tmp_path, PROLOGUE + UNFUSED + EPILOGUE, environment)) == 3.0
    for text, complaint in (
        ("1.5\nsoon\n", "no time in microseconds: soon"),
        ("# none\n", "has no times"),
        (None, "DLFUSION_STANDIN_TIMES names"),
    ):
        if text is None:
            times.unlink()
        else:
            times.write_text(text, encoding="utf-8")
        wrong = run_again(tmp_path / "program", environment)
        assert wrong.status == 1
        assert complaint in wrong.complaints


def test_leaks_are_counted_by_kind(tmp_path: Path) -> None:
    lines = EPILOGUE.replace("  CHECK(cnmlFreeBuffer(dout));\n", "").replace("&in, &mid, &out,", "&in,")
    program = PROLOGUE + FUSED + lines
    finished = run_program(tmp_path, program)
    assert finished.status == 0
    found = re.findall(r"^standin: leaked: (\d+) x (.*)$", finished.complaints, re.MULTILINE)
    assert found == [("2", "CPU tensor"), ("1", "device buffer"), ("2", "tensor")]
    strict = run_again(tmp_path / "program", {"DLFUSION_STANDIN_STRICT": "1"})
    assert strict.status != 0
    # Behind the time, which differs, all of the output was written.
    assert strict.text.split()[1:] == finished.text.split()[1:]


def test_a_program_that_never_says_goodbye_leaks_the_library(tmp_path: Path) -> None:
    program = '#include "cnml.h"\nint main() { return static_cast<int>(cnmlInit(0)); }\n'
    finished = run_program(tmp_path, program, {"DLFUSION_STANDIN_STRICT": "1"})
    assert finished.status != 0
    assert "leaked: the library itself" in finished.complaints


def test_objects_freed_by_static_destructors_are_no_leaks(tmp_path: Path) -> None:
    program = """
    #include "cnml.h"
    struct Library {
      Library() { cnmlInit(0); cnmlCreateFusionOp(&fusion); }
      ~Library() { cnmlDestroyFusionOp(&fusion); cnmlExit(); }
      cnmlFusionOp_t fusion = nullptr;
    } library;
    int main() { return library.fusion == nullptr; }
    """
    finished = run_program(tmp_path, program, {"DLFUSION_STANDIN_STRICT": "1"})
    assert (finished.status, finished.complaints) == (0, "")


def test_a_program_cannot_read_the_device_through_an_address_or_a_handle(tmp_path: Path) -> None:
    program = """
    #include "cnml.h"
    int main(int count, char**) {
      cnmlInit(0);
      cnrtSetCurrentDevice(0);
      void* address = cnmlMalloc(64);
      cnmlFusionOp_t fusion;
      cnmlCreateFusionOp(&fusion);
      const void* forbidden = count > 1 ? static_cast<const void*>(fusion) : address;
      return *static_cast<const volatile char*>(forbidden);
    }
    """
    assert run_program(tmp_path, program).status < 0
