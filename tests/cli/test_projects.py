"""`dlfusion compile` for targets whose projects are only written."""

from pathlib import Path

from tests.cli.invoke import invoke, invoke_json


def test_compile_for_the_mlu100_writes_a_project(model: Path, tmp_path: Path) -> None:
    result = invoke("compile", model, "--target", "mlu100", "-o", tmp_path / "project")
    assert result.exit_code == 0, result.output
    assert "nothing was built" in result.stdout
    assert (tmp_path / "project" / "CMakeLists.txt").is_file()
    document = invoke_json("compile", model, "-t", "mlu100", "-s", "baseline", "-o", tmp_path / "project")
    assert len(document["plan"]["rows"]) == 3


def test_what_has_no_effect_or_no_generator_is_refused(model: Path, tmp_path: Path) -> None:
    result = invoke("compile", model, "--target", "mlu100", "--isa", "avx2", "-o", tmp_path / "project")
    assert result.exit_code == 2
    assert "has no effect" in result.output
    result = invoke("compile", model, "--target", "mlu100", "--precision", "bf16", "-o", tmp_path / "project")
    assert result.exit_code == 2
    assert "--precision bf16 has no effect with --target mlu100" in " ".join(result.output.split())
    result = invoke("compile", model, "--target", "cocco", "-o", tmp_path / "project")
    assert result.exit_code == 2
    assert "programs are generated for cpu, mlu100 only" in result.output
    assert not (tmp_path / "project").exists()
