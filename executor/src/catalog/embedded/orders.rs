//! Orders as rows. Each function is part of the caller's transaction. The table is younger than
//! the others: where it is missing, no order was given yet.

use super::BoxError;
use crate::orders::{Order, OrderName};
use rusqlite::{Connection, params};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS standing (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    given TEXT NOT NULL CHECK (json_valid(given)),
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID";

/// All of them.
pub(super) fn read(connection: &Connection) -> Result<Vec<Order>, BoxError> {
    let there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'standing'";
    if connection.query_row(there, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let mut query = connection.prepare("SELECT given FROM standing ORDER BY kind, name")?;
    let mut orders = Vec::new();
    for json in query.query_map([], |row| row.get::<_, String>(0))? {
        orders.push(serde_json::from_str(&json?)?);
    }
    Ok(orders)
}

/// Gives one.
pub(super) fn order(connection: &Connection, order: &Order) -> Result<(), BoxError> {
    connection.execute_batch(TABLE)?;
    let name = order.name();
    let (kind, name) = name.parts();
    connection.execute(
        "INSERT INTO standing (kind, name, given) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, name) DO UPDATE SET given = excluded.given",
        params![kind, name, serde_json::to_string(order)?],
    )?;
    Ok(())
}

/// Lifts one.
pub(super) fn lift(connection: &Connection, name: &OrderName) -> Result<bool, BoxError> {
    connection.execute_batch(TABLE)?;
    let (kind, name) = name.parts();
    let sql = "DELETE FROM standing WHERE kind = ?1 AND name = ?2";
    Ok(connection.execute(sql, [kind, name])? > 0)
}
