"""What the worker decides, without I/O: the order of jobs, which shards to own, how long a lease
runs."""
