"""A plan: every choice made for a network, as data. Heuristics, searches and people make the same object."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dlfusion.errors import PlanError
from dlfusion.layers.algorithm import Algorithm

SCHEMA_VERSION = 1
"""Version of the JSON form; a reader refuses any other."""


class Partition(StrEnum):
    """How a block is cut over its cores."""

    ROWS = "rows"
    CHANNELS = "channels"


@dataclass(frozen=True, slots=True)
class Block:
    """Layers first..last (inclusive), run as one unit on `cores` cores.

    `step_rows` is how many rows of the block's tallest output one pass down a band produces. `algorithms` holds, for
    layers that are not computed directly, the layer's index and its algorithm (`layers/algorithm.py` has the names).
    `reason` says why the block ends where it ends.
    """

    first: int
    last: int
    cores: int
    partition: Partition = Partition.ROWS
    step_rows: int = 1
    algorithms: tuple[tuple[int, str], ...] = ()
    reason: str = ""

    @property
    def layers(self) -> range:
        """The indices of the block's layers."""
        return range(self.first, self.last + 1)

    def algorithm(self, layer: int) -> str:
        """What computes this layer of the block."""
        return next((name for index, name in self.algorithms if index == layer), Algorithm.DIRECT)


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered blocks of a network; tied to the graph by digest and to the machine by fingerprint."""

    graph_digest: str
    machine: str
    strategy: str
    blocks: tuple[Block, ...]

    def to_json(self) -> str:
        """The plan as readable JSON, one line per block; `from_json` reads it back to an equal plan."""
        head = {"version": SCHEMA_VERSION, "graph": self.graph_digest, "machine": self.machine}
        head["strategy"] = self.strategy
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        blocks = ",\n".join(f"    {json.dumps(asdict(block))}" for block in self.blocks)
        return "\n".join(["{", *lines, '  "blocks": [', *([blocks] if blocks else []), "  ]", "}", ""])

    @staticmethod
    def from_json(text: str) -> "Plan":
        """The plan that `text` states.

        Raises:
            PlanError: the text is no JSON, has another schema version, or a field is missing, unknown or of another
                type; the message names the block and the field.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # also numbers and nesting beyond Python's limits
            raise PlanError(
                f"The plan is not valid JSON: {error}. Compare it with the plan of a fresh compile."
            ) from None
        fields = _fields(data, "the plan", {"version": int}, open_ended=True)
        if fields["version"] != SCHEMA_VERSION:
            raise PlanError(f"The plan has version {fields['version']}; this program reads version {SCHEMA_VERSION}.")
        fields = _fields(data, "the plan", _PLAN_FIELDS)
        blocks = tuple(_block(item, f"block {index}") for index, item in enumerate(fields["blocks"]))
        return Plan(fields["graph"], fields["machine"], fields["strategy"], blocks)

    def check_graph(self, digest: str) -> None:
        """Nothing, if the plan was made for the graph with this digest.

        Raises:
            PlanError: it was made for another graph.
        """
        if digest != self.graph_digest:
            raise PlanError(
                f"The plan was made for another graph: it names {self.graph_digest[:16]}..., the model is "
                f"{digest[:16]}.... Make a plan for this model, or use the model the plan was made for."
            )

    def machine_warning(self, fingerprint: str) -> str | None:
        """A sentence that names the difference if the plan was made on another machine, else None."""
        if fingerprint == self.machine:
            return None
        made, here = self.machine.split("; "), fingerprint.split("; ")
        only_made = "; ".join(part for part in made if part not in here)
        only_here = "; ".join(part for part in here if part not in made)
        return (
            f"The plan was made on another machine ({only_made or 'less is known of it'}; here: {only_here or 'less'})."
        )


_PLAN_FIELDS: dict[str, type] = {"version": int, "graph": str, "machine": str, "strategy": str, "blocks": list}
_BLOCK_FIELDS: dict[str, type] = {"first": int, "last": int, "cores": int}
_OPTIONAL_BLOCK_FIELDS: dict[str, type] = {"partition": str, "step_rows": int, "algorithms": list, "reason": str}


def _fields(
    data: object,
    where: str,
    required: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
    open_ended: bool = False,
) -> dict[str, Any]:
    """The members of a JSON object, checked for presence and type; `open_ended` allows others."""
    if not isinstance(data, dict):
        raise PlanError(f"In {where}: expected an object with fields, found {json.dumps(data)[:60]}.")
    known = {**required, **(optional or {})}
    missing = [name for name in required if name not in data]
    if missing:
        raise PlanError(f"In {where}: missing {', '.join(missing)}.")
    unknown = [] if open_ended else [name for name in data if name not in known]
    if unknown:
        raise PlanError(f"In {where}: unknown {', '.join(unknown)}; the fields are {', '.join(known)}.")
    for name, kind in known.items():
        if name in data and type(data[name]) is not kind:
            found = json.dumps(data[name])[:60]
            raise PlanError(f"In {where}: `{name}` must be of type {kind.__name__}, found {found}.")
        if isinstance(data.get(name), str) and not _is_text(data[name]):
            raise PlanError(f"In {where}: `{name}` has half of a surrogate pair: {json.dumps(data[name])[:60]}.")
    return data


def _is_text(value: str) -> bool:
    """Whether a string can be written to a file; JSON's escapes can state some that cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _block(data: object, where: str) -> Block:
    fields = dict(_fields(data, where, _BLOCK_FIELDS, _OPTIONAL_BLOCK_FIELDS))
    if "partition" in fields:
        allowed = [str(partition) for partition in Partition]
        if fields["partition"] not in allowed:
            raise PlanError(f"In {where}: partition `{fields['partition']}` is none of {', '.join(allowed)}.")
        fields["partition"] = Partition(fields["partition"])
    if "algorithms" in fields:
        fields["algorithms"] = tuple(_algorithm(item, where) for item in fields["algorithms"])
    return Block(**fields)


def _algorithm(item: object, where: str) -> tuple[int, str]:
    match item:
        case [int(layer), str(name)] if not isinstance(layer, bool):
            return layer, name
    raise PlanError(f"In {where}: an entry of `algorithms` must be [layer index, name], found {json.dumps(item)[:60]}.")
