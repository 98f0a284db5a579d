"""What every room means by the same words: money, ids, shards, names. Standard library, no I/O."""
