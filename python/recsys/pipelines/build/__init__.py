"""Building artifacts from input files: rows in, one file and a report out."""
