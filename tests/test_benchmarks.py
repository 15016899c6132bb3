"""The scripts in `benchmarks/`: what they write where."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

from benchmarks.demo import COMPARED, fused_text
from benchmarks.table import BEGIN, END, MODELS, README, write_between_marks
from benchmarks.verify import Chosen, verify_model
from dlfusion import driver, zoo
from dlfusion.plans.plan import Block, Plan
from tests.support.onnx_models import make_model


def test_only_the_text_between_the_marks_changes(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}old\n{END}\nafter\n")
    write_between_marks(file, "| new |\n")
    write_between_marks(file, "| newer |\n")
    assert file.read_text() == f"before\n{BEGIN}| newer |\n{END}\nafter\n"


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("no marks\n")
    with pytest.raises(ValueError, match="does not hold the marks"):
        write_between_marks(file, "| new |\n")
    assert file.read_text() == "no marks\n"


def test_the_readme_has_the_marks_and_the_zoo_the_models() -> None:
    text = README.read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text.partition(BEGIN)[2]
    assert set(MODELS) <= set(zoo.NAMES)


def test_a_file_is_verified_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = Chosen(("fuse-all",), (1,), random_plans=1, shapes={"x": (1, 3, 4, 5)})
    for operator, passed in (("Relu", True), ("Hardmax", False)):
        path = tmp_path / f"{operator}.onnx"
        onnx.save(make_model([helper.make_node(operator, ["x"], ["y"])], {"x": ("batch", 3, 4, 5)}), path)
        assert verify_model(str(path), chosen, tmp_path) is passed
    said = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in said[:2]] == ["Relu", "Relu"]
    assert f"{path} is refused: 1 node is not supported:" in said[2]


def test_the_demo_compares_the_default_and_says_what_is_fused() -> None:
    network = driver.import_model(zoo.build("resnet50", size=64, width_factor=0.05))
    assert driver.DEFAULT_STRATEGY in COMPARED
    plan = driver.plan(network, strategy="fixed-block:3")
    assert sum(len(block.layers) > 1 for block in plan.blocks) >= 15
    fused = sum(len(block.layers) for block in plan.blocks if len(block.layers) > 1)
    assert fused_text(plan).startswith(f"{fused} of {len(network.layers)} layers run in ")


def test_fusion_in_words() -> None:
    blocks = (Block(0, 2, 1), Block(3, 3, 1), Block(4, 5, 1))
    assert fused_text(Plan("", "", "", blocks)) == "5 of 6 layers run in 2 fused blocks of 2 to 3 layers, 1 alone"
    alone = tuple(Block(index, index, 1) for index in range(4))
    assert fused_text(Plan("", "", "", alone)) == "nothing is fused; each of the 4 layers is a block of its own"
