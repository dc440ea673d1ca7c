"""How frames flow: readers, stages with their mux, strands, and a play of all streams."""
