"""Single values that the agent keeps in its store, by name."""

from sqlalchemy import text

from exporter.transaction import Transaction


async def get(connection: Transaction, name: str) -> str | None:
    """Return a value; None: it was never put."""
    found = await connection.scalar(
        text("SELECT value FROM setting WHERE name = :name"), {"name": name}
    )
    return None if found is None else str(found)


async def put(connection: Transaction, name: str, value: str) -> None:
    """Write a value in place of the one before."""
    await connection.execute(
        text(
            "INSERT INTO setting (name, value) VALUES (:name, :value)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        ),
        {"name": name, "value": value},
    )


async def count(connection: Transaction, name: str) -> int:
    """Return a number that only rises; 0: nobody has raised it."""
    return int(await get(connection, name) or 0)


async def raise_count(connection: Transaction, name: str) -> int:
    """Let a number rise by one, and return it."""
    number = await count(connection, name) + 1
    await put(connection, name, str(number))
    return number
