"""The agent's own durable store: its tables, in ordered versions."""

# Our own moments are seconds since 1970; a device's clock may tell anything. Nothing in here that
# PostgreSQL would not take.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # What was asked with which key, and what was answered; no answer: still being done
        "CREATE TABLE request (key TEXT NOT NULL PRIMARY KEY, call TEXT NOT NULL,"
        " body TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL, operation TEXT,"
        " status INTEGER, answer TEXT)",
        # Changes of what is served; each is written before it is begun
        "CREATE TABLE change (id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL,"
        " from_version INTEGER, to_version INTEGER NOT NULL, step TEXT NOT NULL,"
        " status TEXT, detail TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL,"
        " ended_at DOUBLE PRECISION, confirm_within DOUBLE PRECISION,"
        " confirm_by DOUBLE PRECISION, confirmation TEXT)",
        # One row for each time something else began to be served
        "CREATE TABLE activation (number INTEGER NOT NULL PRIMARY KEY,"
        " version INTEGER NOT NULL, way TEXT NOT NULL, at DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE proof (version INTEGER NOT NULL PRIMARY KEY, at DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
        # Certificates that somebody trusts, so that a reported hash means something
        "CREATE TABLE anchor (fingerprint TEXT NOT NULL PRIMARY KEY, der TEXT NOT NULL)",
        "CREATE TABLE report (device TEXT NOT NULL PRIMARY KEY, anchors TEXT NOT NULL,"
        " reported_at TEXT NOT NULL, received_at DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE trust_update (number INTEGER NOT NULL, device TEXT NOT NULL,"
        " operation_id TEXT NOT NULL, operation TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        " priority TEXT, status TEXT NOT NULL, error TEXT, attempts INTEGER NOT NULL,"
        " by_fallback INTEGER NOT NULL, asked_at DOUBLE PRECISION NOT NULL,"
        " PRIMARY KEY (number, device))",
        "CREATE INDEX trust_update_of_device ON trust_update (device, number)",
    ),
)
