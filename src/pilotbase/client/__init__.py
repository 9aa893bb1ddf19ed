"""A typed client of the API, which needs the standard library alone. Begin with `pilotbase.client.client.Client`."""
