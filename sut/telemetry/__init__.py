"""What the devices of a run say of themselves: facts, power, clocks, temperature, energy."""
