"""The retail demo: real purchases of a grocery chain, prepared as a tenant to serve."""
