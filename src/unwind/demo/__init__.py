"""The demo: a believable shop, the outside world as a program, and everything running. Never used in production."""

from unwind.demo.running import run_demo

__all__ = ["run_demo"]
