"""From a graph to layers, the planner's units, with what they cost."""
