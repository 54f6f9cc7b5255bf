"""torch.profiler and Kineto: Chrome traces of every generation, and printed key_averages() tables."""
