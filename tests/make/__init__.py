"""Writers of dumps in the shape that the tools write, with values of our own."""
