"""NVML: NVIDIA devices read live, without any privilege and without changing anything."""
