"""pilotbase: take an AI application from "works in the lab" to "may serve the public", with evidence."""

__version__ = "0.1.0"
