"""Create deployments: pools, automations, or a complete local deployment."""
