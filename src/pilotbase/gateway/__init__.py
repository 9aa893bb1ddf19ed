"""The data plane: keys, routes, reservations, the ledger, and the way of a request to an upstream and back."""
