"""Published problems with their reference numbers, run from the command line."""
