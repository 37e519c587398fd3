"""The merchant's policy: data that decides auto, review or decline, and says why."""
