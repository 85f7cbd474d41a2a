"""Controllers that die: killed at every append and engine call, stopped, out of disk, in a jumping time."""
