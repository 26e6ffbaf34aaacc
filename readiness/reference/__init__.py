"""The reference system: a small but real deployment that the gate can be tried on."""
