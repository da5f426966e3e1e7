"""Alembic runs this for every migration: over the connection, and in the transaction, of who opens the ledger."""

from __future__ import annotations

from alembic import context

from server.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
