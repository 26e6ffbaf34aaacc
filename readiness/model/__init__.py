"""Checks, measurements, evidence, the record and the verdict; does no I/O but reading records."""
