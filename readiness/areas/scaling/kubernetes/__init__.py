"""How workloads scale: autoscalers, controllers, capacity and disruption; does no I/O."""
