"""Speed and quality against the bars; `make bench` prints one table. One file per question, each with `measure()`."""
