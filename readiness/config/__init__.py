"""The target as `readiness.toml` describes it: models, loading, diagnostics, schema."""
