"""Strategies: each file in `strategies/` is one way to choose a plan, found by its name."""

from dlfusion.search.strategy import Strategy, find_strategy, strategy_names

__all__ = ["Strategy", "find_strategy", "strategy_names"]
