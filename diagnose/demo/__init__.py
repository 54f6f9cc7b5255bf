"""Three small real inference jobs, one for each regime, to see what a verdict looks like."""
