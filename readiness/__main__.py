"""`python -m readiness`."""

from readiness.cli.main import main

main(prog_name="readiness")
