"""What the devices of a run report: facts, power, clocks, temperature, energy."""
