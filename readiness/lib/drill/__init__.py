"""Safety of drills: locks, notes for recovery, counting of replicas."""
