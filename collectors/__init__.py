"""Tools: one file, or one folder, for each tool whose dumps or counters are read. Units become SI here."""
