"""Rewrites of a graph into a simpler one that computes the same; one rewrite per file, each a function of that name.

A rewrite never changes the model's results beyond rounding, nor its inputs, nor the number and shapes of its outputs.
"""

from dlfusion.graph.graph import Graph
from dlfusion.passes.drop_expansions import drop_expansions
from dlfusion.passes.drop_identities import drop_identities
from dlfusion.passes.flatten_into_gemm import flatten_into_gemm
from dlfusion.passes.fold_affine import fold_affine
from dlfusion.passes.fold_pad import fold_pad
from dlfusion.passes.globalize_pools import globalize_pools
from dlfusion.passes.merge_clips import merge_clips
from dlfusion.passes.merge_duplicates import merge_duplicates
from dlfusion.passes.merge_gates import merge_gates
from dlfusion.passes.remove_dead import remove_dead
from dlfusion.passes.reshape_inputs import reshape_inputs

PASSES = (
    remove_dead,
    reshape_inputs,
    drop_identities,
    drop_expansions,
    globalize_pools,
    merge_duplicates,
    merge_gates,
    flatten_into_gemm,
    fold_pad,
    fold_affine,
    merge_clips,
)
"""The order in which `clean` applies the rewrites: what removes nodes first, so that fewer of them have two readers."""


def clean(graph: Graph) -> Graph:
    """The graph after all rewrites, repeated until none of them removes a node."""
    while True:
        count = len(graph.nodes)
        for rewrite in PASSES:
            graph = rewrite(graph)
        if len(graph.nodes) == count:
            return graph
