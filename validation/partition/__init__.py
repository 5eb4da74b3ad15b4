"""Published partition studies against the planner."""
