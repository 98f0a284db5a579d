"""The servers of a trial on a cluster, each the one program of its pod. Not for production."""
