"""What comes in and goes out over HTTP, one module per door."""
