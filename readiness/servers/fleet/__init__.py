"""What the reference system deploys: replicas behind HAProxy, and what rolls out their releases."""
