"""Universe, solver, policy, explanation: which packages answer a spec; core, no I/O."""
