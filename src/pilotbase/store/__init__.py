"""Durable state of one home folder: the database, blobs and evidence segments, each with a twin in memory."""
