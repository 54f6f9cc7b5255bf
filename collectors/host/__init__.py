"""The host's side of a job: what its threads do on the CPUs, and what keeps them from it."""
