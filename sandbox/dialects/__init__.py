"""One module per wire format that the outside world speaks; the world behind them is common (frame.py)."""
