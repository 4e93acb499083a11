"""The sections of scripts/gradient_report.py, each a function that yields lines of Markdown."""
