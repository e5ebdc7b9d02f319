//! `[serve]` as written.

use crate::settings::ServeSettings;
use crate::settings::schedule::{Schedule, Span, zone};
use crate::settings::section::{Reader, Section};
use std::time::Duration;

/// Passes more often than this would only wait for each other.
const LEAST: Duration = Duration::from_secs(1);
/// Longer than this nobody would look at a fleet that runs by itself.
const MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Reads the table.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> ServeSettings {
    section.allow(reader, &["interval", "windows", "freezes", "time_zone"]);
    let default = ServeSettings::default();
    let interval = section.parsed_by(reader, "interval", interval);
    let time_zone = section.parsed_by(reader, "time_zone", |text| {
        zone(text).map(|_| text.to_owned()).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            format!("{shown:?} is no time zone that this machine knows, such as Europe/Berlin")
        })
    });
    let windows = spans(reader, section, "windows");
    let freezes = spans(reader, section, "freezes");
    ServeSettings {
        interval: interval.map_or(default.interval, |at| at.value),
        schedule: Schedule {
            time_zone: time_zone.map_or(default.schedule.time_zone, |at| at.value),
            windows,
            freezes,
        },
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let read = text.parse::<jiff::SignedDuration>().ok();
    let read = read.and_then(|span| Duration::try_from(span).ok());
    read.filter(|span| (LEAST..=MOST).contains(span)).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        format!("{shown:?} must be a time from 1s to 168h, such as 5m")
    })
}

fn spans(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for text in section.texts(reader, key).unwrap_or_default() {
        match text.value.parse() {
            Ok(span) => spans.push(span),
            Err(error) => {
                reader.wrong(text.span, format!("`{key}` of [serve]: {error}"), "");
            }
        }
    }
    spans
}
