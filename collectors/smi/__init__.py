"""nvidia-smi: dmon, pmon and --query-gpu logs of every option set and driver generation."""
