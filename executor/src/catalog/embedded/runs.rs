//! The journal as rows: a run, its steps, and what came of them. Each function is part of the
//! caller's transaction.

use super::{BoxError, moment, seconds};
use crate::journal::{RunEnd, RunId, RunRecord, RunStart, StepEnd, StepRecord};
use planner::model::time::Timestamp;
use planner::plan::step::Step;
use rusqlite::{Connection, params};
use ulid::Ulid;

/// A new run. Its id sorts after all others, also if the clock was set back.
pub(super) fn begin(connection: &Connection, start: &RunStart) -> Result<RunId, BoxError> {
    let last: Option<String> =
        connection.query_row("SELECT max(id) FROM run", [], |row| row.get(0))?;
    let last = last.map(|id| Ulid::from_string(&id)).transpose()?;
    let drawn = Ulid::generate();
    let id = match last {
        Some(last) if last >= drawn => last.increment().map_err(|_| "there are no run ids left")?,
        Some(_) | None => drawn,
    };
    let sql = "INSERT INTO run (id, start) VALUES (?1, ?2)";
    connection.execute(sql, [id.to_string(), serde_json::to_string(start)?])?;
    Ok(RunId(id.to_string()))
}

/// A step that is about to be done. Only its name: what it is made of may be large, and is in the
/// plan.
pub(super) fn intend(
    connection: &Connection,
    run: &RunId,
    step: &Step,
    at: Timestamp,
) -> Result<(), BoxError> {
    connection.execute(
        "INSERT INTO step (run, number, step, host, at)
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM step WHERE run = ?1",
        params![run.0, step.id.0, step.host.as_str(), seconds(at)],
    )?;
    Ok(())
}

/// The end of the step that was intended last under that name.
pub(super) fn outcome(
    connection: &Connection,
    run: &RunId,
    step: &Step,
    end: &StepEnd,
) -> Result<(), BoxError> {
    let changed = connection.execute(
        "UPDATE step SET outcome = ?3 WHERE run = ?1 AND outcome IS NULL AND number =
         (SELECT max(number) FROM step WHERE run = ?1 AND step = ?2)",
        params![run.0, step.id.0, serde_json::to_string(end)?],
    )?;
    match changed {
        1 => Ok(()),
        _ => Err(format!("{} was not begun in run {}, or has ended", step.id.0, run.0).into()),
    }
}

/// The end of a run.
pub(super) fn end(
    connection: &Connection,
    run: &RunId,
    end: RunEnd,
    at: Timestamp,
) -> Result<(), BoxError> {
    let changed = connection.execute(
        "UPDATE run SET outcome = ?2, ended_at = ?3 WHERE id = ?1 AND outcome IS NULL",
        params![run.0, serde_json::to_string(&end)?, seconds(at)],
    )?;
    match changed {
        1 => Ok(()),
        _ => Err(format!("there is no run {} without an end", run.0).into()),
    }
}

/// The newest runs, newest first.
pub(super) fn newest(
    connection: &Connection,
    newest: usize,
    with_steps: bool,
) -> Result<Vec<RunRecord>, BoxError> {
    let sql = "SELECT id, start, outcome, ended_at FROM run ORDER BY id DESC LIMIT ?1";
    let mut query = connection.prepare(sql)?;
    let limit = i64::try_from(newest).unwrap_or(i64::MAX);
    let mut rows = query.query([limit])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let outcome: Option<String> = row.get(2)?;
        let ended_at: Option<i64> = row.get(3)?;
        let end = match outcome.zip(ended_at) {
            Some((outcome, at)) => Some((serde_json::from_str(&outcome)?, moment(at))),
            None => None,
        };
        let steps = if with_steps { steps(connection, &id)? } else { Vec::new() };
        let start = serde_json::from_str(&row.get::<_, String>(1)?)?;
        runs.push(RunRecord { id: RunId(id), start, end, steps });
    }
    Ok(runs)
}

fn steps(connection: &Connection, run: &str) -> Result<Vec<StepRecord>, BoxError> {
    let sql = "SELECT step, host, at, outcome FROM step WHERE run = ?1 ORDER BY number";
    let mut query = connection.prepare(sql)?;
    let mut rows = query.query([run])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome: Option<String> = row.get(3)?;
        steps.push(StepRecord {
            step: row.get(0)?,
            host: row.get(1)?,
            at: moment(row.get(2)?),
            end: outcome.map(|outcome| serde_json::from_str(&outcome)).transpose()?,
        });
    }
    Ok(steps)
}
