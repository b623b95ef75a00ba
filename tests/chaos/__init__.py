"""Every hop killed, paused, cut off: a seeded harness over a known workload. `make chaos`; a part in `make test`."""
