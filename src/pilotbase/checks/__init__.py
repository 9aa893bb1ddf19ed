"""Tables of metrics and transforms, and how scores become estimates and verdicts."""
