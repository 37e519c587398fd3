"""The process that runs due cases, the unpaid time limit and housekeeping."""
