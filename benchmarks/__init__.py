"""What `make bench` runs: the cost of an exchange, as ratios within one run."""
