"""Payment services in their own formats (ADR 13): one module per provider, with its signature and its callbacks beside it."""
