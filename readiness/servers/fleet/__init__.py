"""The deployment of the reference system: replicas behind HAProxy, and their rollouts."""
