"""Proves that the closed form for accelerators, which plays no events, stays close to the simulator that does."""

import numpy as np
import pytest

from dlfusion.cost.accuracy import accuracy
from dlfusion.cost.analytic import Analytic
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.plans.legality import machine_limits, problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.targets.simulated.simulator import Simulator
from tests.support.networks import mobilenet_v2, vgg_head

BLOCKS = 60
NETWORKS = {"mobilenet": mobilenet_v2, "vgg": vgg_head}


def random_blocks(network: Network, core_counts: tuple[int, ...]) -> list[Block]:
    """Blocks of one to six layers with any cores, partition and step, legal or not; always the same ones."""
    random = np.random.default_rng(2)
    blocks = []
    for _ in range(400):
        first = int(random.integers(len(network.layers)))
        last = min(len(network.layers) - 1, first + int(random.integers(6)))
        partition = Partition.CHANNELS if first == last and random.integers(2) else Partition.ROWS
        step = int(random.choice((1, 2, 4, 8, 16, 64, 224)))
        blocks.append(Block(first, last, int(random.choice(core_counts)), partition, step))
    return blocks


@pytest.mark.parametrize("machine_name", ["mlu100", "cocco", "two_level"])
@pytest.mark.parametrize("network_name", NETWORKS)
def test_blocks_are_predicted_nearly_as_the_simulator_plays_them(machine_name: str, network_name: str) -> None:
    network = describe(NETWORKS[network_name]().build())
    machine = load_machine(machine_files()[machine_name])
    limits = machine_limits(machine)
    blocks = [b for b in random_blocks(network, machine.core_counts) if not problems(network, b, limits)][:BLOCKS]
    model, simulator = Analytic(machine), Simulator(network, machine)
    predicted = [model.block(network, schedule(network, block)).seconds for block in blocks]
    played = [simulator.simulate(block).seconds for block in blocks]
    found = accuracy(model.name, predicted, played)
    assert found.median_relative_error < 0.05
    assert found.worst_relative_error < 0.5
    assert found.rank_correlation > 0.98
