"""The load that ``diagnose sweep`` puts on an endpoint: small, bounded, said beforehand, and measured as it goes."""
