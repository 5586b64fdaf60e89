"""Operation numbers of gateways: they only rise, so that a late request of ours is refused.

The agent refuses a number lower than the highest it was sent. One sequence for each gateway,
whoever of us acts on it.
"""

from sqlalchemy import text

from exporter.transaction import Transaction


async def next_operation(connection: Transaction, gateway: str, *, above: int) -> int:
    """Give out the next number for ``gateway``, higher than ``above`` and all given out before."""
    number = max(await last_operation(connection, gateway), above) + 1
    values = {"gateway": gateway, "number": number}
    await connection.execute(
        text("DELETE FROM gateway_operation WHERE gateway = :gateway"), {"gateway": gateway}
    )
    await connection.execute(
        text("INSERT INTO gateway_operation (gateway, number) VALUES (:gateway, :number)"), values
    )
    return number


async def last_operation(connection: Transaction, gateway: str) -> int:
    """Return the highest number that was given out for ``gateway``; 0: none."""
    found = await connection.scalar(
        text("SELECT number FROM gateway_operation WHERE gateway = :gateway"), {"gateway": gateway}
    )
    return int(found or 0)
