"""The worker's use cases: owning shards, reading their jobs, working each job to its end."""
