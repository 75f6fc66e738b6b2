"""The only reader of trajectories, and the map from foreign topologies to an atom table."""

from lmbmd.trajectory.frames import Frames, open_universe, read_frames

__all__ = ["Frames", "open_universe", "read_frames"]
