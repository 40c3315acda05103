"""What the heads share: necks, windows, proposal grids, post-processing."""
