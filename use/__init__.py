"""Using the result: talk to the trained personas, serve them, take them elsewhere. `traitlab --help`."""
