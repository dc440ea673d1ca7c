"""Where frames come from: files, folders, networks, or memory; decoded on the CPU or the GPU."""
