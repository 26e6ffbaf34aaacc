"""What objects tell of how a workload scales; and what it does when it is made to."""
