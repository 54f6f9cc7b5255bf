"""Physics: the shared vocabulary, the GPU table, model shapes, the roofline, the time budget and its signals.

Pure: no I/O besides the packaged GPU table, no clock, no tool library.
"""
