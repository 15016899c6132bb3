"""Calls at the wrong time or with wrong core counts, one mistake each: the stand-in answers with the right status."""

import ctypes
import itertools

import numpy as np
import pytest

from tests.targets.mlu100.standin_bench import RELU, SHAPE, Bench, Mistakes
from tests.targets.mlu100.standin_library import (
    CONST,
    DOMAINERR,
    INVALIDPARAM,
    MLU100,
    NODEVICE,
    OUTOFRANGE,
    SUCCESS,
    UNSUPPORT,
    Session,
    handles,
)

CNRT_NODEV, CNRT_INVALID, CNRT_INIT, CNRT_OPERATION = 632009, 632007, 632024, 632031
MISTAKES = Mistakes()
mistake = MISTAKES.ends_with


# --- compiling and computing ---------------------------------------------------------------------------------------


@mistake(OUTOFRANGE)
def sixty_four_cores(bench: Bench) -> int:
    return bench.compile(64)


@mistake(OUTOFRANGE)
def three_cores(bench: Bench) -> int:
    return bench.compile(3)


@mistake(OUTOFRANGE)
def no_cores(bench: Bench) -> int:
    return bench.compile(0)


@mistake(UNSUPPORT)
def another_device(bench: Bench) -> int:
    return bench.call("cnmlCompileBaseOp", bench.relu, 1, 1)


@mistake(OUTOFRANGE)
def more_ways_times_cores_than_cores(bench: Bench) -> int:
    bench.compile(16)
    source, target = bench.session.buffer(bench.x, 4), bench.session.buffer(bench.y, 4)
    return bench.compute(4, source, target)


@mistake(DOMAINERR)
def compiled_twice(bench: Bench) -> int:
    bench.compile()
    return bench.compile()


@mistake(DOMAINERR)
def computed_before_it_is_compiled(bench: Bench) -> int:
    return bench.compute()


@mistake(INVALIDPARAM)
def computed_as_another_operator(bench: Bench) -> int:
    bench.compile()
    arguments = (bench.relu, bench.dx, bench.dy, bench.session.invoke(), bench.session.queue)
    return bench.call("cnmlComputePoolOpForward_V3", *arguments)


@mistake(INVALIDPARAM)
def computed_without_a_parameter(bench: Bench) -> int:
    bench.compile()
    return bench.call("cnmlComputeActiveOpForward_V3", bench.relu, bench.dx, bench.dy, None, bench.session.queue)


@mistake(INVALIDPARAM)
def computed_in_no_queue(bench: Bench) -> int:
    bench.compile()
    return bench.call("cnmlComputeActiveOpForward_V3", bench.relu, bench.dx, bench.dy, bench.session.invoke(), None)


@mistake(DOMAINERR)
def stack_asked_for_before_compiling(bench: Bench) -> int:
    return bench.call("cnmlGetBaseOpRequiredStackSize", bench.relu, ctypes.byref(ctypes.c_int64()))


@mistake(UNSUPPORT)
def asked_whether_it_can_run(bench: Bench) -> int:
    return bench.call("cnmlCheckBaseOpRunnable", bench.relu, MLU100)


@mistake(DOMAINERR)
def destroyed_while_a_call_waits(bench: Bench) -> int:
    bench.compile()
    bench.session.ok(
        "cnmlComputeActiveOpForward_V3", bench.relu, bench.dx, bench.dy, bench.session.invoke(), bench.session.queue
    )
    return bench.call("cnmlDestroyBaseOp", ctypes.byref(bench.relu))


@mistake(DOMAINERR)
def fusion_destroyed_while_a_call_waits(bench: Bench) -> int:
    fusion = bench.complete_fusion()
    bench.session.ok("cnmlCompileFusionOp", fusion, MLU100, 1)
    assert bench.compute_fusion(fusion) == SUCCESS
    return bench.call("cnmlDestroyFusionOp", ctypes.byref(fusion))


@mistake(CNRT_OPERATION)
def queue_destroyed_while_a_call_waits(bench: Bench) -> int:
    bench.compile()
    assert bench.compute() == SUCCESS
    return bench.call("cnrtDestroyQueue", bench.session.queue)


# --- fusion --------------------------------------------------------------------------------------------------------


@mistake(DOMAINERR)
def fused_after_it_is_compiled(bench: Bench) -> int:
    bench.compile()
    return bench.call("cnmlFuseOp", bench.relu, bench.session.operator("Fusion"))


@mistake(DOMAINERR)
def compiled_after_it_is_fused(bench: Bench) -> int:
    bench.fusion()
    return bench.compile()


@mistake(DOMAINERR)
def fused_twice(bench: Bench) -> int:
    return bench.call("cnmlFuseOp", bench.relu, bench.fusion())


@mistake(DOMAINERR)
def computed_alone_after_it_is_fused(bench: Bench) -> int:
    bench.session.ok("cnmlCompileFusionOp", bench.complete_fusion(), MLU100, 1)
    return bench.compute()


@mistake(DOMAINERR)
def fusion_of_nothing(bench: Bench) -> int:
    fusion = bench.session.operator("Fusion")
    bench.session.ok("cnmlSetFusionIO", fusion, handles([bench.x]), 1, handles([bench.y]), 1)
    return bench.call("cnmlCompileFusionOp", fusion, MLU100, 1)


@mistake(DOMAINERR)
def fusion_without_inputs_and_outputs(bench: Bench) -> int:
    return bench.call("cnmlCompileFusionOp", bench.fusion(), MLU100, 1)


@mistake(INVALIDPARAM)
def fusion_input_that_is_missing(bench: Bench) -> int:
    fusion = bench.fusion()
    add = bench.session.operator("Add", bench.y, bench.session.tensor(SHAPE), output := bench.session.tensor(SHAPE))
    bench.session.ok("cnmlFuseOp", add, fusion)
    bench.session.ok("cnmlSetFusionIO", fusion, handles([bench.x]), 1, handles([output]), 1)
    return bench.call("cnmlCompileFusionOp", fusion, MLU100, 1)


@mistake(INVALIDPARAM)
def fusion_input_that_nobody_reads(bench: Bench) -> int:
    fusion = bench.fusion()
    inputs = handles([bench.x, bench.session.tensor(SHAPE)])
    bench.session.ok("cnmlSetFusionIO", fusion, inputs, 2, handles([bench.y]), 1)
    return bench.call("cnmlCompileFusionOp", fusion, MLU100, 1)


@mistake(INVALIDPARAM)
def fusion_output_that_nobody_computes(bench: Bench) -> int:
    fusion = bench.fusion()
    bench.session.ok("cnmlSetFusionIO", fusion, handles([bench.x]), 1, handles([bench.session.tensor(SHAPE)]), 1)
    return bench.call("cnmlCompileFusionOp", fusion, MLU100, 1)


@mistake(INVALIDPARAM)
def fused_in_the_wrong_order(bench: Bench) -> int:
    fusion = bench.session.operator("Fusion")
    output = bench.session.tensor(SHAPE)
    second = bench.session.operator("Active", RELU, bench.y, output)
    bench.session.ok("cnmlFuseOp", second, fusion)
    bench.session.ok("cnmlFuseOp", bench.relu, fusion)
    bench.session.ok("cnmlSetFusionIO", fusion, handles([bench.x]), 1, handles([output]), 1)
    return bench.call("cnmlCompileFusionOp", fusion, MLU100, 1)


@mistake(INVALIDPARAM)
def constant_as_fusion_input(bench: Bench) -> int:
    constant = bench.session.tensor((1, 4, 1, 1), CONST)
    return bench.call("cnmlAddFusionInput", bench.fusion(), constant)


@mistake(OUTOFRANGE)
def fusion_on_twelve_cores(bench: Bench) -> int:
    return bench.call("cnmlCompileFusionOp", bench.complete_fusion(), MLU100, 12)


@mistake(DOMAINERR)
def fusion_changed_after_it_is_compiled(bench: Bench) -> int:
    fusion = bench.complete_fusion()
    bench.session.ok("cnmlCompileFusionOp", fusion, MLU100, 1)
    return bench.call("cnmlAddFusionOutput", fusion, bench.y)


@mistake(DOMAINERR)
def fusion_computed_before_it_is_compiled(bench: Bench) -> int:
    return bench.compute_fusion(bench.complete_fusion())


@mistake(INVALIDPARAM)
def fusion_computed_with_too_many_inputs(bench: Bench) -> int:
    fusion = bench.complete_fusion()
    bench.session.ok("cnmlCompileFusionOp", fusion, MLU100, 1)
    return bench.compute_fusion(fusion, 2)


@mistake(OUTOFRANGE)
def fusion_that_needs_more_stack(bench: Bench) -> int:
    fusion = bench.session.operator("Fusion")
    tensors = [bench.x, *(bench.session.tensor(SHAPE) for _ in range(60)), bench.y]
    for source, target in itertools.pairwise(tensors):
        bench.session.ok("cnmlFuseOp", bench.session.operator("Active", RELU, source, target), fusion)
    bench.session.ok("cnmlSetFusionIO", fusion, handles([bench.x]), 1, handles([bench.y]), 1)
    bench.session.ok("cnmlCompileFusionOp", fusion, MLU100, 1)
    status = bench.compute_fusion(fusion)
    needed = ctypes.c_int64()
    bench.session.ok("cnmlGetFusionOpRequiredStackSize", fusion, ctypes.byref(needed))
    bench.session.ok("cnrtSetStackMem", needed.value)
    assert bench.compute_fusion(fusion) == SUCCESS
    return status


# --- devices, queues, notifiers ------------------------------------------------------------------------------------


@mistake(CNRT_NODEV)
def device_that_is_not_there(bench: Bench) -> int:
    return bench.call("cnrtGetDeviceHandle", ctypes.byref(ctypes.c_uint64()), 1)


@mistake(CNRT_INVALID)
def destroyed_queue(bench: Bench) -> int:
    queue = ctypes.c_void_p()
    bench.session.ok("cnrtCreateQueue", ctypes.byref(queue))
    bench.session.ok("cnrtDestroyQueue", queue)
    return bench.call("cnrtSyncQueue", queue)


@mistake(CNRT_OPERATION)
def duration_before_the_queue_is_synchronized(bench: Bench) -> int:
    begin, end = ctypes.c_void_p(), ctypes.c_void_p()
    for notifier in (begin, end):
        bench.session.ok("cnrtCreateNotifier", ctypes.byref(notifier))
        bench.session.ok("cnrtPlaceNotifier", notifier, bench.session.queue)
    status = bench.call("cnrtNotifierDuration", begin, end, ctypes.byref(ctypes.c_float()))
    bench.session.ok("cnrtSyncQueue", bench.session.queue)
    bench.session.ok("cnrtNotifierDuration", begin, end, ctypes.byref(ctypes.c_float()))
    for notifier in (begin, end):
        bench.session.ok("cnrtDestroyNotifier", ctypes.byref(notifier))
    return status


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_with_the_right_status(name: str, bench: Bench) -> None:
    status, function = MISTAKES[name]
    assert function(bench) == status


def test_nothing_works_before_the_library_is_started() -> None:
    session = Session()
    assert session.call("cnmlCreateFusionOp", ctypes.byref(ctypes.c_void_p())) == NODEVICE
    assert session.call("cnrtGetDeviceCount", ctypes.byref(ctypes.c_uint())) == CNRT_INIT
    assert session.call("cnmlExit") == NODEVICE


def test_a_device_must_be_chosen_in_every_session() -> None:
    with Session():
        pass
    session = Session()
    session.ok("cnmlInit", 0)
    assert session.call("cnrtCreateQueue", ctypes.byref(session.queue)) == CNRT_NODEV
    session.ok("cnmlExit")


def test_an_activation_works_in_place(bench: Bench) -> None:
    bench.compile()
    x = np.linspace(-1, 1, 144, dtype=np.float32).reshape(SHAPE)
    bench.session.to_device(bench.x, x, bench.dx)
    assert bench.compute(target=bench.dx) == SUCCESS
    bench.session.ok("cnrtSyncQueue", bench.session.queue)
    assert bench.session.to_host(bench.x, bench.dx).min() == 0


def test_why_a_call_failed_is_said_if_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bench.compile(3) == OUTOFRANGE
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("DLFUSION_STANDIN_VERBOSE", "1")
    assert bench.compile(3) == OUTOFRANGE
    assert capfd.readouterr().err == ("standin: cnmlCompileBaseOp: core counts are 1, 2, 4, 8, 16 and 32, not 3\n")
