"""The outside world as a small program, for the demo and the tests; never part of a production process."""
