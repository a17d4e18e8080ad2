"""Making deployments: pools, automations, and everything at once on one machine."""
