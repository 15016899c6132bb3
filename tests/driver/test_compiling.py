"""The Python API from end to end: `dlfusion.compile`, what it returns, `dlfusion.load`, and what they refuse."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import ModelProto, helper

import dlfusion
from dlfusion import driver, zoo
from dlfusion.errors import BuildError, InputError, ModelError, PlanError, UnsupportedError, VerificationError
from dlfusion.graph.graph import Array
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.machine import host
from dlfusion.plans.plan import Block
from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE, compare
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu import isa as instruction_sets
from dlfusion.targets.cpu import target
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.lowering import Lowering, lower
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.section import Section
from tests.support.onnx_models import make_model, run_onnx_runtime, weights


def small() -> ModelProto:
    """Four convolutions and a pixel shuffle."""
    return zoo.build("espcn", size=19, width=21, width_factor=0.25)


def two_by_two() -> ModelProto:
    """Two inputs, a and b, and two outputs: their sum, and the maxima of b's 3x3 windows."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"], name="add"),
        helper.make_node("MaxPool", ["b"], ["pooled"], name="pool", kernel_shape=[3, 3]),
    ]
    shape = (1, 5, 7, 9)
    return make_model(nodes, {"a": shape, "b": shape}, outputs=["sum", "pooled"])


def open_model() -> ModelProto:
    """A convolution whose batch, height and width the model leaves open."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])
    return make_model([node], {"x": ("batch", 3, "height", "width")}, constants={"w": weights(8, 3, 3, 3)})


def expected(model: ModelProto, network: Network, inputs: tuple[Array, ...]) -> list[Array]:
    return run_onnx_runtime(model, network.graph, inputs)


def as_path(model: ModelProto, folder: Path) -> object:
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def as_text(model: ModelProto, folder: Path) -> object:
    return str(as_path(model, folder))


def as_proto(model: ModelProto, folder: Path) -> object:
    return model


def as_ir(model: ModelProto, folder: Path) -> object:
    return onnx_ir.serde.deserialize_model(model)


@pytest.mark.parametrize("form", [as_path, as_text, as_proto, as_ir])
def test_every_form_of_a_model(form: Callable[[ModelProto, Path], object], tmp_path: Path) -> None:
    model = small()
    before = model.SerializeToString()
    network = driver.import_model(model)
    inputs = driver.random_inputs(network)
    with dlfusion.compile(form(model, tmp_path)) as compiled:
        output = compiled(*inputs)
    assert isinstance(output, np.ndarray)
    assert compare([output], expected(model, network, inputs)).passed
    assert model.SerializeToString() == before, "the caller's model is left as it was"


def test_inputs_in_the_models_order_and_a_tuple_of_outputs() -> None:
    model = two_by_two()
    with dlfusion.compile(model) as compiled:
        a, b = weights(1, 5, 7, 9, seed=1), weights(1, 5, 7, 9, seed=2)
        outputs = compiled(a, b)
        assert isinstance(outputs, tuple)
        assert [port.name for port in compiled.executable.outputs] == ["sum", "pooled"]
        np.testing.assert_array_equal(outputs[0], a + b)
        windows = np.lib.stride_tricks.sliding_window_view(b, (3, 3), axis=(2, 3))
        np.testing.assert_array_equal(outputs[1], windows.max(axis=(4, 5)))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 3, 11, 5)])
def test_shapes_fix_what_the_model_leaves_open(shape: tuple[int, ...]) -> None:
    model = open_model()
    with dlfusion.compile(model, shapes={"x": shape}) as compiled:
        assert compiled.network is not None
        inputs = driver.random_inputs(compiled.network)
        assert inputs[0].shape == shape
        assert compare(compiled.outputs(*inputs), expected(model, compiled.network, inputs)).passed


def test_an_open_shape_is_refused_with_the_option_to_set_it() -> None:
    with pytest.raises(ModelError, match=r"\bx\b"):
        dlfusion.compile(open_model())


def test_strategy_and_cores_decide_the_plan() -> None:
    model = small()
    with dlfusion.compile(model, strategy="baseline", cores=1) as compiled:
        layers = len(compiled.plan.blocks)
        assert compiled.plan.strategy == "baseline"
        assert {block.cores for block in compiled.plan.blocks} == {1}
        assert compiled.executable.cores == 1
    with dlfusion.compile(model, strategy="fuse-all", cores=2) as compiled:
        assert len(compiled.plan.blocks) < layers
        assert compiled.executable.cores == 2
        assert len(compiled.profile(*driver.random_inputs(driver.import_model(model)))) == len(compiled.plan.blocks)


def test_a_plan_as_object_and_as_edited_file(tmp_path: Path) -> None:
    network = driver.import_model(small())
    last = len(network.layers) - 1
    plan = replace(
        driver.plan(network, strategy="baseline"),
        strategy="by hand",
        blocks=(Block(0, 1, 2, step_rows=3), Block(2, last, 1, step_rows=2)),
    )
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json(), encoding="utf-8")
    inputs = driver.random_inputs(network)
    results = []
    for given in (plan, path, str(path)):
        with dlfusion.compile(small(), plan=given) as compiled:
            assert compiled.plan == plan
            results.append(compiled.outputs(*inputs)[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert compare([results[0]], evaluate(network.graph, inputs)).passed


def test_saved_and_loaded(tmp_path: Path) -> None:
    with dlfusion.compile(small(), strategy="fuse-all") as compiled:
        assert compiled.network is not None
        inputs = driver.random_inputs(compiled.network)
        output, plan = compiled(*inputs), compiled.plan
        temporary = compiled.folder
        assert compiled.save(tmp_path / "saved") == tmp_path / "saved"
    assert not temporary.exists(), "a temporary artefact goes with its object"
    with dlfusion.load(tmp_path / "saved") as loaded:
        np.testing.assert_array_equal(loaded(*inputs), output)
        assert loaded.plan == plan
        with pytest.raises(InputError, match="compiled in this process"):
            driver.verify(loaded)
    assert (tmp_path / "saved").exists()


def test_an_artefact_in_a_folder_of_the_callers(tmp_path: Path) -> None:
    folder = tmp_path / "artefact"
    with dlfusion.compile(small(), folder=folder) as compiled:
        assert compiled.folder == folder
    assert (folder / "plan.json").exists(), "closing leaves the caller's folder"


def test_closed(tmp_path: Path) -> None:
    compiled = dlfusion.compile(small())
    assert compiled.network is not None
    inputs = driver.random_inputs(compiled.network)
    compiled.close()
    compiled.close()
    with pytest.raises(InputError, match="closed"):
        compiled(*inputs)


def test_arrays_that_do_not_fit() -> None:
    with dlfusion.compile(small()) as compiled:
        fitting = np.zeros((1, 1, 19, 21), np.float32)
        with pytest.raises(InputError, match="2 arrays given"):
            compiled(fitting, fitting)
        with pytest.raises(InputError, match=r"\(1, 1, 19, 20\)"):
            compiled(fitting[..., :20])
        with pytest.raises(InputError, match="float64"):
            compiled(fitting.astype(np.float64))


def test_progress_names_the_stages_in_order() -> None:
    seen: list[str] = []
    dlfusion.compile(small(), progress=lambda stage, done, total: seen.append(stage)).close()
    assert list(dict.fromkeys(seen)) == ["import", "plan", "generate", "build"]


@pytest.mark.parametrize("isa", ["avx512", "avx2", "avx512_bf16"])
def test_the_instruction_set_can_be_chosen(isa: str) -> None:
    if isa not in host().isas:
        pytest.skip(f"this CPU has no {isa}")
    with dlfusion.compile(small(), isa=isa) as compiled:
        assert compiled.executable.description["isa"] == isa
        assert driver.verify(compiled).passed


def test_the_best_instruction_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for isas, best in ((("avx2", "avx512"), "avx512"), (("avx2",), "avx2")):
        machine = replace(host(), isas=isas)
        monkeypatch.setattr(instruction_sets, "host", lambda machine=machine: machine)
        assert driver.choose_isa().name == best
    for speed, best in ((2.0, "avx512_bf16"), (1.0, "avx512")):
        machine = replace(host(), isas=("avx512", "avx2", "avx512_bf16"), bfloat16_speed=speed)
        monkeypatch.setattr(instruction_sets, "host", lambda machine=machine: machine)
        assert driver.choose_isa(precision=Precision.BF16).name == best
        assert driver.choose_isa().name == "avx512"
        assert driver.choose_isa("avx2", Precision.BF16).name == "avx2"
    machine = replace(host(), isas=())
    monkeypatch.setattr(instruction_sets, "host", lambda: machine)
    with pytest.raises(InputError, match="avx512, avx2"):
        driver.choose_isa()


def test_an_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(InputError, match=r"'sse9'.*avx512, avx2"):
        dlfusion.compile(small(), isa="sse9")


@pytest.mark.parametrize(("name", "size", "exact"), [("alexnet", 67, True), ("resnet18", 64, False)])
def test_weights_can_be_stored_as_bfloat16(name: str, size: int, exact: bool, tmp_path: Path) -> None:
    network = driver.import_model(zoo.build(name, size=size, width_factor=0.25))
    with dlfusion.compile(network, precision="bf16", exact=exact) as narrow, dlfusion.compile(network) as wide:
        assert (narrow.precision, narrow.tolerance, wide.precision) == ("bf16", BF16_TOLERANCE, "fp32")
        verdict = driver.verify(narrow)
        assert TOLERANCE < verdict.relative < BF16_TOLERANCE == verdict.tolerance
        assert narrow.executable.weights_bytes < 0.7 * wide.executable.weights_bytes
        with dlfusion.load(narrow.save(tmp_path / "saved")) as loaded:
            assert loaded.precision == "bf16"


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="unknown precision 'int8'; supported: fp32, bf16"):
        dlfusion.compile(small(), precision="int8")


def test_verify_passes_on_a_correct_program() -> None:
    with dlfusion.compile(small()) as compiled:
        assert driver.verify(compiled).passed
        assert compiled.network is not None
        inputs = driver.random_inputs(compiled.network, seed=1)
        wrong = [array + 1 for array in evaluate(compiled.network.graph, inputs)]
        with pytest.raises(VerificationError, match="no single layer differs"):
            driver.verify(compiled, inputs, wrong)


def test_verify_searches_the_kernels_of_the_programs_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another instruction set has other kernels, in which no layer might differ."""
    if "avx2" not in host().isas:
        pytest.skip("this CPU has no avx2")
    built: list[str] = []

    def recording(network: Network, isa: Isa, precision: Precision) -> Lowering:
        built.append(isa.name)
        return lower(network, isa, precision)

    monkeypatch.setattr(target, "lower", recording)
    network = driver.import_model(small())
    inputs = driver.random_inputs(network)
    wrong = [array + 1 for array in evaluate(network.graph, inputs)]
    with dlfusion.compile(network, strategy="baseline", isa="avx2") as compiled:
        assert compiled.isa == "avx2"
        with pytest.raises(VerificationError, match="no single layer differs"):
            driver.verify(compiled, inputs, wrong)
    assert built == ["avx2", "avx2"]


@pytest.mark.parametrize("broken", [0, 2])
def test_verify_names_the_first_layer_that_differs(broken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def lower_wrongly(network: Network, isa: Isa, precision: Precision) -> Lowering:
        lowering = lower(network, isa, precision)
        layers = list(lowering.layers)
        way = layers[broken][Algorithm.DIRECT]
        wrong = Section()
        wrong.append(way.constants.finish() * np.float32(1.1))
        layers[broken] = {Algorithm.DIRECT: replace(way, constants=wrong)}
        return replace(lowering, layers=tuple(layers))

    monkeypatch.setattr(target, "lower", lower_wrongly)
    network = driver.import_model(small())
    with dlfusion.compile(network, strategy="fuse-all") as compiled, pytest.raises(VerificationError) as caught:
        driver.verify(compiled)
    assert f"first different in layer {network.layers[broken].name}: " in str(caught.value)


def test_plans_that_cannot_be_used(tmp_path: Path) -> None:
    network = driver.import_model(small())
    plan = driver.plan(network, strategy="baseline")
    other = driver.plan(driver.import_model(zoo.build("espcn", size=20, width=21)), strategy="baseline")
    with pytest.raises(PlanError, match="another graph"):
        dlfusion.compile(network, plan=other)
    with pytest.raises(PlanError, match="layer"):
        dlfusion.compile(network, plan=replace(plan, blocks=plan.blocks[:-1]))
    with pytest.raises(PlanError, match=r"missing\.json"):
        dlfusion.compile(network, plan=tmp_path / "missing.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(PlanError, match="not valid JSON"):
        dlfusion.compile(network, plan=tmp_path / "bad.json")
    with pytest.raises(PlanError, match="no-such-strategy"):
        dlfusion.compile(network, strategy="no-such-strategy")
    for cores in (0, -1, 1 << 20):
        with pytest.raises(PlanError, match="cores are asked for, but cpu runs blocks on 1"):
            dlfusion.compile(network, cores=cores)


def test_models_that_cannot_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.onnx"):
        dlfusion.compile(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        dlfusion.compile(tmp_path / "text.onnx")
    nodes = [
        helper.make_node("Hardmax", ["x"], ["e"], name="the_winner"),
        helper.make_node("Det", ["e"], ["y"], name="the_det"),
    ]
    with pytest.raises(UnsupportedError) as caught:
        dlfusion.compile(make_model(nodes, {"x": (1, 2, 3, 3)}))
    for part in ("Hardmax", "the_winner", "Det", "the_det"):
        assert part in str(caught.value)


def test_folders_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no compiled model"):
        dlfusion.load(tmp_path)
    folder = tmp_path / "artefact"
    dlfusion.compile(small(), folder=folder).close()
    shutil.copytree(folder, tmp_path / "bad plan")
    (tmp_path / "bad plan" / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(PlanError, match="not valid JSON"):
        dlfusion.load(tmp_path / "bad plan")
    next(folder.glob("*.so")).unlink()
    with pytest.raises(BuildError, match="artefact"):
        dlfusion.load(folder)
