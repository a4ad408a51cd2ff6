"""One file per forecaster; they meet through `forecast/base.py`."""
