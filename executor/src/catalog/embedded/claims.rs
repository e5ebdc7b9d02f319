//! Claims, records, highest incarnations and losses as rows. Each function is part of the
//! caller's transaction.

use super::{BoxError, moment, schema, seconds};
use planner::model::claim::{AppRecord, Claim, Claims, FailedRelease};
use planner::model::id::Incarnation;
use planner::model::name::{AppName, SourceName};
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use rusqlite::{Connection, OptionalExtension, params};

/// How long losses are remembered: twice the day that the limit on loss looks back, so that
/// clocks may differ.
const LOSSES_SECONDS: i64 = 48 * 60 * 60;

/// Everything that is remembered.
pub(super) fn read(connection: &Connection) -> Result<Claims, BoxError> {
    let mut claims =
        Claims { complete: schema::fact(connection, "complete")?.is_some(), ..Claims::default() };
    let mut query = connection.prepare("SELECT claim FROM claim ORDER BY slot")?;
    for json in query.query_map([], |row| row.get::<_, String>(0))? {
        let claim: Claim = serde_json::from_str(&json?)?;
        claims.slots.insert(claim.slot.clone(), claim);
    }
    let mut query = connection.prepare("SELECT record FROM app ORDER BY app")?;
    for json in query.query_map([], |row| row.get::<_, String>(0))? {
        let record: AppRecord = serde_json::from_str(&json?)?;
        claims.apps.insert(record.app.clone(), record);
    }
    let mut query = connection.prepare("SELECT slot, source, incarnation FROM incarnation")?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
    };
    for row in query.query_map([], row)? {
        let (slot, source, incarnation) = row?;
        let key = (slot.parse::<SlotId>()?, SourceName::new(source)?);
        claims.incarnations.insert(key, Incarnation(incarnation));
    }
    let mut query = connection.prepare("SELECT app, at FROM loss ORDER BY at, app, rowid")?;
    for row in query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))? {
        let (app, at) = row?;
        claims.losses.push((AppName::new(app)?, moment(at)));
    }
    Ok(claims)
}

/// Does the acts in their order.
pub(super) fn act(
    connection: &Connection,
    acts: &[ClaimAct],
    at: Timestamp,
    seen: &str,
) -> Result<(), BoxError> {
    for act in acts {
        match act {
            ClaimAct::Write(claim) => {
                let known = claimed(connection, &claim.slot)?;
                let held = known.map_or(claim.held, |known| known.held);
                write(connection, &Claim { held, ..claim.clone() })?;
            }
            ClaimAct::Hold { slot, held } => {
                let claim = claimed(connection, slot)?
                    .ok_or_else(|| format!("{slot} is not claimed, so it cannot be held"))?;
                write(connection, &Claim { held: *held, ..claim })?;
            }
            ClaimAct::Remove { slot } => {
                let sql = "DELETE FROM claim WHERE slot = ?1";
                connection.execute(sql, [slot.to_string()])?;
            }
            ClaimAct::Failed { slot, release } => {
                // A slot that is not claimed any more has nothing to remember.
                if let Some(mut claim) = claimed(connection, slot)? {
                    let (release, why) = (release.clone(), seen.to_owned());
                    claim.failed = Some(FailedRelease { release, why });
                    write(connection, &claim)?;
                }
            }
            ClaimAct::Loss { app } => {
                let sql = "INSERT INTO loss (app, at) VALUES (?1, ?2)";
                connection.execute(sql, params![app.as_str(), seconds(at)])?;
            }
        }
    }
    let oldest = seconds(at).saturating_sub(LOSSES_SECONDS);
    connection.execute("DELETE FROM loss WHERE at < ?1", [oldest])?;
    Ok(())
}

fn write(connection: &Connection, claim: &Claim) -> Result<(), BoxError> {
    let slot = claim.slot.to_string();
    connection.execute(
        "INSERT INTO claim (slot, claim) VALUES (?1, ?2)
         ON CONFLICT (slot) DO UPDATE SET claim = excluded.claim",
        [&slot, &serde_json::to_string(claim)?],
    )?;
    for (source, volume) in &claim.volumes {
        connection.execute(
            "INSERT INTO incarnation (slot, source, incarnation) VALUES (?1, ?2, ?3)
             ON CONFLICT (slot, source) DO UPDATE
             SET incarnation = max(incarnation, excluded.incarnation)",
            params![slot, source.as_str(), volume.incarnation.0],
        )?;
    }
    Ok(())
}

fn claimed(connection: &Connection, slot: &SlotId) -> Result<Option<Claim>, BoxError> {
    let sql = "SELECT claim FROM claim WHERE slot = ?1";
    let json = connection.query_row(sql, [slot.to_string()], |row| row.get::<_, String>(0));
    Ok(json.optional()?.map(|json| serde_json::from_str(&json)).transpose()?)
}

/// Remembers an app's record in place of the one before.
pub(super) fn record(connection: &Connection, record: &AppRecord) -> Result<(), BoxError> {
    connection.execute(
        "INSERT INTO app (app, record) VALUES (?1, ?2)
         ON CONFLICT (app) DO UPDATE SET record = excluded.record",
        [record.app.as_str(), &serde_json::to_string(record)?],
    )?;
    Ok(())
}

/// Remembers that nothing is missing.
pub(super) fn complete(connection: &Connection) -> Result<(), BoxError> {
    let sql = "INSERT INTO fact (name, value) VALUES ('complete', 'yes') ON CONFLICT DO NOTHING";
    connection.execute(sql, [])?;
    Ok(())
}
