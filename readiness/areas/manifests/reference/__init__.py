"""The manifests of the reference system, and what breaks them."""
