"""Wrong tensors, memory, constants and parameters, one mistake each: the stand-in answers with the right status."""

import ctypes

import numpy as np
import pytest

from tests.targets.mlu100.standin_bench import RELU, SHAPE, Bench, Mistakes
from tests.targets.mlu100.standin_library import (
    BADTYPEID,
    CONST,
    DOMAINERR,
    FILTER,
    FLOAT32,
    INVALIDARG,
    INVALIDPARAM,
    LENGTHERR,
    MLU100,
    OUTOFRANGE,
    UNSUPPORT,
    Tensor,
)

CNRT_MEMORY, CNRT_POINTER = 632008, 632021
MISTAKES = Mistakes()
mistake = MISTAKES.ends_with


# --- handles and memory --------------------------------------------------------------------------------------------


@mistake(INVALIDPARAM)
def null_handle(bench: Bench) -> int:
    return bench.call("cnmlCompileBaseOp", None, MLU100, 1)


@mistake(INVALIDPARAM)
def destroyed_twice(bench: Bench) -> int:
    handle = ctypes.c_void_p(bench.x.handle.value)
    bench.session.ok("cnmlDestroyTensor", ctypes.byref(handle))
    again = ctypes.c_void_p(bench.x.handle.value)
    return bench.call("cnmlDestroyTensor", ctypes.byref(again))


@mistake(INVALIDPARAM)
def tensor_destroyed_before_its_operator_is_compiled(bench: Bench) -> int:
    bench.session.ok("cnmlDestroyTensor", ctypes.byref(bench.y.handle))
    return bench.compile()


@mistake(INVALIDARG)
def host_pointer_as_device_address(bench: Bench) -> int:
    bench.compile()
    return bench.compute(target=bench.host_array())


@mistake(INVALIDARG)
def freed_buffer(bench: Bench) -> int:
    bench.compile()
    address = ctypes.c_void_p(bench.dx.value)
    bench.session.ok("cnmlFreeBuffer", bench.dx)
    bench.dx.value = bench.session.buffer(bench.x).value
    return bench.compute(source=address)


@mistake(INVALIDARG)
def freed_twice(bench: Bench) -> int:
    address = bench.session.buffer(bench.x)
    bench.session.ok("cnmlFreeBuffer", address)
    return bench.call("cnmlFreeBuffer", address)


@mistake(INVALIDARG)
def null_buffer(bench: Bench) -> int:
    bench.compile()
    return bench.compute(source=ctypes.c_void_p())


@mistake(LENGTHERR)
def buffer_of_a_smaller_tensor(bench: Bench) -> int:
    bench.compile()
    return bench.compute(source=bench.session.buffer(bench.session.tensor((1, 4, 6, 5))))


@mistake(CNRT_MEMORY)
def more_memory_than_the_device_has(bench: Bench) -> int:
    return bench.call("cnrtMallocBatch", ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(1 << 33), 2)


@mistake(LENGTHERR)
def buffer_for_fewer_ways(bench: Bench) -> int:
    bench.compile()
    return bench.compute(ways=2)


@mistake(INVALIDPARAM)
def output_over_a_part_of_the_input(bench: Bench) -> int:
    bench.compile()
    large = bench.session.buffer(bench.x, 2)
    assert large.value
    return bench.compute(source=large, target=ctypes.c_void_p(large.value + 2))


@mistake(INVALIDPARAM)
def copy_between_different_shapes(bench: Bench) -> int:
    cpu = bench.session.cpu_tensor((1, 4, 6, 5))
    return bench.call("cnmlMemcpyTensorToDevice", cpu, bench.host_array(), bench.x, bench.dx)


@mistake(LENGTHERR)
def copy_of_more_ways_than_the_buffer_has(bench: Bench) -> int:
    cpu = bench.session.cpu_tensor(SHAPE)
    return bench.call("cnmlMemcpyBatchTensorToDevice", cpu, bench.host_array(), bench.x, bench.dx, 2)


@mistake(DOMAINERR)
def results_read_before_the_queue_is_synchronized(bench: Bench) -> int:
    bench.compile()
    bench.session.ok(
        "cnmlComputeActiveOpForward_V3", bench.relu, bench.dx, bench.dy, bench.session.invoke(), bench.session.queue
    )
    cpu = bench.session.cpu_tensor(SHAPE)
    return bench.call("cnmlMemcpyTensorToHost", bench.y, bench.dy, cpu, bench.host_array())


@mistake(DOMAINERR)
def input_overwritten_before_the_queue_is_synchronized(bench: Bench) -> int:
    bench.compile()
    bench.compute()
    cpu = bench.session.cpu_tensor(SHAPE)
    return bench.call("cnmlMemcpyTensorToDevice", cpu, bench.host_array(), bench.x, bench.dx)


@mistake(CNRT_POINTER)
def buffer_freed_while_a_call_waits(bench: Bench) -> int:
    bench.compile()
    bench.compute()
    bench.session.ok("cnmlFreeBuffer", bench.dx)
    bench.dx.value = bench.session.buffer(bench.x).value
    return bench.call("cnrtSyncQueue", bench.session.queue)


# --- constants -----------------------------------------------------------------------------------------------------


def scale(bench: Bench, alpha: Tensor, beta: Tensor) -> ctypes.c_void_p:
    """An operator with two constants."""
    return bench.session.operator("Scale", bench.x, bench.y, alpha, beta)


@mistake(DOMAINERR)
def unbound_constant(bench: Bench) -> int:
    bound = bench.session.constant(np.zeros((1, 4, 1, 1), np.float32))
    operator = scale(bench, bound, bench.session.tensor((1, 4, 1, 1), CONST))
    return bench.call("cnmlCompileBaseOp", operator, MLU100, 1)


@mistake(INVALIDPARAM)
def data_bound_to_an_activation(bench: Bench) -> int:
    return bench.call("cnmlBindConstData", bench.x, bench.session.cpu_tensor(SHAPE), bench.host_array())


@mistake(INVALIDPARAM)
def data_of_another_shape(bench: Bench) -> int:
    constant = bench.session.tensor((1, 4, 1, 1), CONST)
    return bench.call("cnmlBindConstData", constant, bench.session.cpu_tensor((4, 1, 1, 1)), bench.host_array())


@mistake(INVALIDPARAM)
def activation_as_bias(bench: Bench) -> int:
    return bench.create("ScaleOp", bench.x, bench.y, bench.session.tensor((1, 4, 1, 1)), None)


@mistake(INVALIDPARAM)
def constant_as_filter(bench: Bench) -> int:
    parameter = bench.session.parameter("ConvOpParam", 1, 1, 1, 1, 0, 0, 0)
    return bench.create("ConvOp", parameter, bench.x, bench.y, bench.session.tensor((4, 4, 1, 1), CONST), None)


# --- operators -----------------------------------------------------------------------------------------------------


@mistake(BADTYPEID)
def float_on_the_device(bench: Bench) -> int:
    single = bench.session.tensor(SHAPE, data_type=FLOAT32)
    return bench.create("ActiveOp", RELU, single, bench.y)


@mistake(INVALIDPARAM)
def odd_total_of_padding(bench: Bench) -> int:
    return bench.create("ConvOpParam", 1, 1, 1, 1, 1, 1, 0)


@mistake(UNSUPPORT)
def padding_of_a_dilated_convolution(bench: Bench) -> int:
    return bench.create("ConvOpParam", 1, 1, 2, 2, 2, 2, 0)


@mistake(UNSUPPORT)
def padding_of_a_pool(bench: Bench) -> int:
    return bench.create("PoolOpParam", 3, 3, 1, 1, 2, 2, 0, 0, 1, 1, 0)


@mistake(INVALIDPARAM)
def kernel_larger_than_the_map(bench: Bench) -> int:
    parameter = bench.session.parameter("ConvOpParam", 1, 1, 1, 1, 2, 2, 0)
    filter_ = bench.session.tensor((4, 4, 7, 7), FILTER)
    return bench.create("ConvOp", parameter, bench.x, bench.session.tensor((1, 4, 2, 2)), filter_, None)


@mistake(OUTOFRANGE)
def pool_larger_than_the_device_can(bench: Bench) -> int:
    parameter = bench.session.parameter("PoolOpParam", 600, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0)
    return bench.create(
        "PoolOp", parameter, bench.session.tensor((1, 256, 600, 1)), bench.session.tensor((1, 256, 1, 1))
    )


@mistake(INVALIDPARAM)
def channels_that_do_not_divide_into_groups(bench: Bench) -> int:
    parameter = bench.session.parameter("ConvOpParam", 1, 1, 1, 1, 0, 0, 0)
    filter_ = bench.session.tensor((4, 1, 1, 1), FILTER)
    return bench.create("ConvGroupOp", parameter, bench.x, bench.y, filter_, None, 3)


@mistake(INVALIDPARAM)
def two_outputs_of_a_concatenation(bench: Bench) -> int:
    return bench.create("ConcatOpParam", 1, 2, 0)


@mistake(INVALIDPARAM)
def reshape_in_place(bench: Bench) -> int:
    parameter = bench.session.parameter("ReshapeOpParam", *SHAPE, 0)
    return bench.create("ReshapeOp", parameter, bench.x, bench.x)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_with_the_right_status(name: str, bench: Bench) -> None:
    status, function = MISTAKES[name]
    assert function(bench) == status
