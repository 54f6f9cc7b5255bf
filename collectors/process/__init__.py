"""The job as the operating system shows it: processes, their sockets, and the CPUs they run on."""
