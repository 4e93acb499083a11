"""What compare_peers.py compares: the problems, and each package in its own words."""
