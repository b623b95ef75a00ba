"""Every hop killed, paused, cut off: a seeded harness over a known workload. `make chaos`, and a part of `make test`."""
