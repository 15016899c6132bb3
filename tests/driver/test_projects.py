"""Writing a project to a folder: what is replaced, what is refused, what is left alone."""

from pathlib import Path

import pytest

from dlfusion import driver
from dlfusion.errors import BuildError, PlanError
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Plan
from tests.support.networks import chain


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(8, 3, 1), (8, 3, 1)]).build())


def plan(network: Network, cores: int) -> Plan:
    return Plan(network.graph.digest, "any machine", "by hand", (Block(0, 1, cores),))


def test_a_project_is_whole_and_has_the_simulated_time_of_its_block(network: Network, tmp_path: Path) -> None:
    folder = driver.write_project(network, plan(network, 4), tmp_path / "new" / "project")
    assert {"model.cpp", "main.cpp", "CMakeLists.txt", "plan.json", "weights.bin"} < {p.name for p in folder.iterdir()}
    assert not list(folder.rglob("*.part"))
    (line,) = (folder / "simulated_times.txt").read_text(encoding="utf-8").splitlines()
    assert float(line) > 0
    assert Plan.from_json((folder / "plan.json").read_text(encoding="utf-8")) == plan(network, 4)


def test_an_older_project_is_replaced_and_its_build_folder_stays(network: Network, tmp_path: Path) -> None:
    driver.write_project(network, plan(network, 4), tmp_path / "project")
    (tmp_path / "project" / "build").mkdir()
    driver.write_project(network, plan(network, 8), tmp_path / "project")
    assert (tmp_path / "project" / "build").is_dir()
    assert 'add<FusedBlock>("block_0", 8)' in (tmp_path / "project" / "model.cpp").read_text(encoding="utf-8")


def test_other_folders_and_plans_are_refused(network: Network, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(BuildError, match="no generated project"):
        driver.write_project(network, plan(network, 4), tmp_path)
    with pytest.raises(BuildError, match="is no folder"):
        driver.write_project(network, plan(network, 4), tmp_path / "photo.png")
    with pytest.raises(PlanError, match="3 cores are asked for"):
        driver.write_project(network, plan(network, 3), tmp_path / "project")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
