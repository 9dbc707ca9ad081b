"""What runs in dom0, or in the Linux that takes its place: wires, load, and the systems' domUs."""
