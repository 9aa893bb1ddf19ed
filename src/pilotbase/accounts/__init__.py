"""Accounts: organisations, members, passwords, sessions, tokens, and how often one may try to sign in."""
