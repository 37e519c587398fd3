"""One protocol per outside party, in our words. What a provider calls things stops in `adapters`."""
