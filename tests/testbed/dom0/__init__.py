"""What system tests and experiments use inside dom0: networks, guests, load, CPU time."""
