"""A client of the HTTP API with typed requests and answers."""
