//! When something may happen by itself: `windows`, `freezes` and `time_zone` of `[serve]`.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// A time that comes again, or one that comes once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Span {
    /// `Mon-Fri 08:00-18:00`; over midnight it belongs to the day on which it begins.
    Weekly {
        /// Its days, as written.
        days: Vec<Weekday>,
        /// From this minute on.
        from: Time,
        /// Until this minute, which is not in it; equal to `from`: the whole day.
        until: Time,
    },
    /// `2026-12-20..2027-01-06`; both days are in it.
    Dates {
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
    },
}

/// When something may happen by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The zone that all times are of, such as `Europe/Berlin`.
    pub time_zone: String,
    /// Something happens in these only; none: at any time.
    pub windows: Vec<Span>,
    /// Nothing happens in these.
    pub freezes: Vec<Span>,
}

impl Default for Schedule {
    /// At any time.
    fn default() -> Self {
        Self { time_zone: "UTC".to_owned(), windows: Vec::new(), freezes: Vec::new() }
    }
}

impl Schedule {
    /// Why nothing may happen at that moment; nothing: it may. Where the zone is not known here,
    /// nothing may.
    #[must_use]
    pub fn closed(&self, at: jiff::Timestamp) -> Option<String> {
        let Some(zone) = zone(&self.time_zone) else {
            return Some(format!("the time zone {} is not known on this machine", self.time_zone));
        };
        let now = zone.to_datetime(at);
        if let Some(freeze) = self.freezes.iter().find(|span| span.holds(now)) {
            return Some(format!("there is a freeze: {freeze} ({})", self.time_zone));
        }
        if self.windows.is_empty() || self.windows.iter().any(|span| span.holds(now)) {
            return None;
        }
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        Some(format!("it is outside of the windows: {} ({})", windows.join(", "), self.time_zone))
    }
}

/// A time zone by its name, if this machine knows it.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok()
}

impl Span {
    fn holds(&self, now: DateTime) -> bool {
        match self {
            Self::Dates { first, last } => (*first..=*last).contains(&now.date()),
            Self::Weekly { days, from, until } => {
                let (day, time) = (now.weekday(), now.time());
                let today = days.contains(&day);
                let began_yesterday = days.contains(&day.previous());
                if from < until {
                    today && (*from..*until).contains(&time)
                } else {
                    today && time >= *from || began_yesterday && time < *until
                }
            }
        }
    }
}

/// What is no span.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time: write \"Mon-Fri 08:00-18:00\", \"daily 22:00-06:00\" or \"2026-12-20..2027-01-06\""
)]
pub struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let read = || {
            if let Some((first, last)) = text.split_once("..") {
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                return (first <= last).then_some(Self::Dates { first, last });
            }
            let (days, hours) = text.trim().split_once(' ')?;
            let (from, until) = hours.trim().split_once('-')?;
            Some(Self::Weekly { days: days_of(days)?, from: time(from)?, until: time(until)? })
        };
        read().ok_or_else(|| SpanError(text.chars().take(80).collect()))
    }
}

/// `daily`, or days and ranges of days with commas between them.
fn days_of(text: &str) -> Option<Vec<Weekday>> {
    if text.eq_ignore_ascii_case("daily") {
        return Some(DAYS.map(|(_, day)| day).to_vec());
    }
    let day = |name: &str| {
        let found = DAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, day)| *day)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut this, last) = (day(first)?, day(last)?);
        while this != last {
            days.push(this);
            this = this.next();
        }
        days.push(last);
    }
    days.sort_by_key(|day| day.to_monday_zero_offset());
    days.dedup();
    Some(days)
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dates { first, last } => write!(f, "{first}..{last}"),
            Self::Weekly { days, from, until } => {
                let name = |day: &Weekday| {
                    let known = DAYS.iter().find(|(_, known)| known == day);
                    known.map_or("", |(name, _)| *name)
                };
                let days: Vec<&str> = days.iter().map(name).collect();
                let hours = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
                let days = if days.len() == 7 { "daily".to_owned() } else { days.join(",") };
                write!(f, "{days} {}-{}", hours(from), hours(until))
            }
        }
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(zone: &str, windows: &[&str], freezes: &[&str]) -> Schedule {
        let spans = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Schedule { time_zone: zone.into(), windows: spans(windows), freezes: spans(freezes) }
    }

    fn closed(schedule: &Schedule, at: &str) -> bool {
        schedule.closed(at.parse().unwrap()).is_some()
    }

    #[test]
    fn something_happens_in_windows_only() {
        let office = schedule("UTC", &["Mon-Thu,Sat 08:00-18:00"], &[]);
        // 2026-11-26 is a Thursday.
        assert!(!closed(&office, "2026-11-26T08:00:00Z"));
        assert!(closed(&office, "2026-11-26T07:59:59Z"));
        assert!(closed(&office, "2026-11-26T18:00:00Z"));
        assert!(closed(&office, "2026-11-27T12:00:00Z"));
        assert!(!closed(&office, "2026-11-28T12:00:00Z"));
        assert!(!closed(&schedule("UTC", &[], &[]), "2026-11-27T12:00:00Z"));
    }

    #[test]
    fn a_window_over_midnight_is_of_the_day_on_which_it_begins() {
        let night = schedule("UTC", &["Thu 22:00-06:00"], &[]);
        for (at, is_closed) in [
            ("2026-11-26T05:00:00Z", true),
            ("2026-11-26T22:00:00Z", false),
            ("2026-11-27T05:59:00Z", false),
            ("2026-11-27T06:00:00Z", true),
            ("2026-11-27T22:00:00Z", true),
        ] {
            assert_eq!(closed(&night, at), is_closed, "{at}");
        }
        let whole = schedule("UTC", &["daily 00:00-00:00"], &[]);
        assert!(!closed(&whole, "2026-11-26T00:00:00Z") && !closed(&whole, "2026-11-26T23:59:59Z"));
    }

    #[test]
    fn a_freeze_closes_whatever_the_windows_say() {
        let frozen = schedule("UTC", &["daily 00:00-00:00"], &["2026-12-20..2027-01-06"]);
        assert!(!closed(&frozen, "2026-12-19T23:59:59Z"));
        assert!(closed(&frozen, "2026-12-20T00:00:00Z") && closed(&frozen, "2027-01-06T23:59:59Z"));
        assert!(!closed(&frozen, "2027-01-07T00:00:00Z"));
        assert!(closed(&schedule("Atlantis/City", &[], &[]), "2027-01-07T00:00:00Z"));
    }

    #[test]
    fn times_are_of_the_zone() {
        // Without a database of zones the zone is not known, and everything is closed.
        let at = "2026-11-26T23:30:00Z";
        let berlin = schedule("Europe/Berlin", &["Fri 00:00-01:00"], &[]);
        assert_eq!(closed(&berlin, at), zone("Europe/Berlin").is_none());
    }

    #[test]
    fn what_is_written_reads_back() {
        for (text, again) in [
            ("Mon-Fri 08:00-18:00", "Mon,Tue,Wed,Thu,Fri 08:00-18:00"),
            ("sat,sun 10:00-12:30", "Sat,Sun 10:00-12:30"),
            ("Sat-Mon 10:00-12:30", "Mon,Sat,Sun 10:00-12:30"),
            ("daily 22:00-06:00", "daily 22:00-06:00"),
            ("2026-12-20..2027-01-06", "2026-12-20..2027-01-06"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string(), again);
            assert_eq!(again.parse::<Span>().unwrap(), span);
        }
        for text in [
            "",
            "Mon",
            "Mon 8-9",
            "Mon 08:00",
            "Mun 08:00-09:00",
            "Mon 08:00-24:00",
            "Mon 8:00-9:00",
            "2027-01-06..2026-12-20",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
