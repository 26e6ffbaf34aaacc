"""The probes: one module for each kind of thing we talk to; they measure, and know no limits."""
