"""What is true about taking an order back. Pure: no I/O, no clock, no randomness, only the standard library."""
