"""Estimates with honest bounds: numbers in, `Estimate` out. Imports nothing of pilotbase; only the standard library and numpy."""
