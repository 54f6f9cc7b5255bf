"""Measuring a step function of this very process: its time over batches, its FLOPs and bytes, a window of its trace."""
