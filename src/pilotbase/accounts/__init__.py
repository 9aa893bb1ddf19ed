"""Accounts: organisations, members, passwords, sessions, and how often one may try to sign in."""
