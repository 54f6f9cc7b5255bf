"""The in-process probe: a step function measured over batches, and judged at each."""
