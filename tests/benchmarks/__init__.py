"""What diagnose costs, as ratios from one run. Nothing here is collected by pytest."""
