"""Tables beside the ledger's, in a file and in PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from integration.errors import InputError
from server.ledger.tables import open_tables

METADATA = sa.MetaData()
THINGS = sa.Table("thing", METADATA, sa.Column("name", sa.String, primary_key=True))


def opened(place: Path | str) -> sa.Engine:
    return open_tables(place, METADATA, schema_version=1, lock=1, name="the table of things")


def test_of_many_that_open_tables_at_once_each_finds_them(place: Path | str) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: opened(place), range(4)))

    for number, engine in enumerate(engines):
        with engine.begin() as connection:
            connection.execute(THINGS.insert().values(name=str(number)))
    with engines[0].connect() as connection:
        found = connection.scalars(sa.select(THINGS.c.name).order_by(THINGS.c.name)).all()
    for engine in engines:
        engine.dispose()

    assert found == ["0", "1", "2", "3"]


def test_tables_that_cannot_be_made_are_named_in_a_sentence_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the table of things cannot be made") as raised:
        opened(f"postgresql+psycopg://nobody:secret@/none?host={tmp_path}")

    assert "secret" not in str(raised.value)
