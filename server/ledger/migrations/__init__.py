"""How the ledger's tables came to be as they are; Alembic runs these when a ledger is opened (`ledger.engine`)."""
