"""The control plane: tenants, API keys, versioned config and rules, and the audit trail, in one store."""
