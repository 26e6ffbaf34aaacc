"""Probes of sites: TLS, answers, credentials, limits, caches; and of reports about dependencies."""
