//! Every key of a manifest, its class and its effect: the table that the reader takes its known
//! keys from, and that the documentation prints.

mod table;

pub use table::{
    ATTACHED, BUILD, CHECKS, COMPOSE, CONCURRENCY, DEPLOY, EXPERIMENTAL, FILES, HTTP_CHECK,
    HTTP_OPTIONS, HTTP_RESPONSE, HTTP_SERVICE, MACHINE_CHECK, METRICS, MOUNTS, PORTS, PROCESS,
    PROXY_PROTO, REPLAY_CACHE, RESTART, ROOT, SECRETS, SECTIONS, SERVICE_HTTP_CHECK, SERVICES,
    STATICS, TCP_CHECK, TIEDOWN, TIEDOWN_VOLUME, TLS_OPTIONS, VM,
};

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Part of the release: a change restarts instances.
    Restarts,
    /// Applied to what runs, without a restart.
    Live,
    /// Decides where slots are and how many; moves or restarts nothing by itself.
    Placement,
    /// Steers how changes are made; changes nothing that runs.
    Steering,
    /// Read by tiedown only: flyctl ignores it.
    TiedownOnly,
    /// Understood, and without effect in tiedown.
    Inert,
    /// An older spelling, read as flyctl reads it.
    Legacy,
    /// Once read by flyctl, and by nobody any more.
    Retired,
    /// A table of further keys, which have classes of their own.
    Table,
}

impl Class {
    /// The class in a word or two, as the documentation calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restarts => "restarts",
            Self::Live => "applied live",
            Self::Placement => "placement",
            Self::Steering => "steering",
            Self::TiedownOnly => "tiedown only",
            Self::Inert => "not acted on",
            Self::Legacy => "older spelling",
            Self::Retired => "no longer read",
            Self::Table => "table",
        }
    }
}

/// A key of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name, as it should be written.
    pub name: &'static str,
    /// When a change takes effect.
    pub class: Class,
    /// What it does, in a few words.
    pub effect: &'static str,
}

/// A section and its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its path from the top, empty for the top itself; `*` stands for any name.
    pub path: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// Where a key with this text is in `keys`, disregarding case as Go's JSON decoder does.
    #[must_use]
    pub fn position(&self, text: &str) -> Option<usize> {
        let exact = self.keys.iter().position(|key| key.name == text);
        exact.or_else(|| self.keys.iter().position(|key| folds_to(text, key.name)))
    }
}

/// Keys that people write for others that mean the same: section, what is written, what is meant.
const MEANT: [(&str, &str, &str); 35] = [
    ("", "region", "primary_region"),
    ("", "name", "app"),
    ("", "volumes", "mounts"),
    ("", "volume", "mounts"),
    ("", "machine", "vm"),
    ("", "machines", "vm"),
    ("", "http", "http_service"),
    ("", "environment", "env"),
    ("", "health_checks", "checks"),
    ("mounts", "size", "initial_size"),
    ("mounts", "size_gb", "initial_size"),
    ("mounts", "name", "source"),
    ("mounts", "volume", "source"),
    ("mounts", "path", "destination"),
    ("mounts", "target", "destination"),
    ("mounts", "retention", "snapshot_retention"),
    ("vm", "cpu", "cpus"),
    ("vm", "ram", "memory"),
    ("vm", "mem", "memory"),
    ("vm", "cpu_type", "cpu_kind"),
    ("vm", "group", "processes"),
    ("files", "secret", "secret_name"),
    ("files", "path", "guest_path"),
    ("restart", "max_retries", "retries"),
    ("build", "target", "build-target"),
    ("http_service", "port", "internal_port"),
    ("http_service", "http_checks", "checks"),
    ("http_service", "tcp_checks", "checks"),
    ("http_service", "health_checks", "checks"),
    ("services", "port", "internal_port"),
    ("services", "checks", "http_checks"),
    ("", "regions", "primary_region"),
    ("mounts", "mount_path", "destination"),
    ("mounts", "dest", "destination"),
    ("deploy", "command", "release_command"),
];

/// The key of a section that another word was most likely meant as.
pub(crate) fn meant(section: &str, written: &str) -> Option<&'static str> {
    MEANT.iter().find(|entry| entry.0 == section && entry.1 == written).map(|entry| entry.2)
}

/// Whether the text is the (lower-case) name but for case; two letters outside of ASCII count too.
fn folds_to(text: &str, name: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',  // the long s
        '\u{212a}' => 'k', // the Kelvin sign
        letter => letter.to_ascii_lowercase(),
    };
    text.chars().map(fold).eq(name.chars())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn keys_are_found_in_any_case() {
        assert_eq!(MOUNTS.position("Source"), MOUNTS.position("source"));
        assert_eq!(MOUNTS.position("\u{17f}ource"), MOUNTS.position("source"));
        assert_eq!(MOUNTS.position("sources"), None);
    }

    #[test]
    fn the_table_is_in_order() {
        let paths: BTreeSet<&str> = SECTIONS.iter().map(|section| section.path).collect();
        assert_eq!(paths.len(), SECTIONS.len(), "a path stands twice");
        for section in SECTIONS {
            let names: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(names.len(), section.keys.len(), "a key stands twice in {}", section.path);
            for key in section.keys {
                assert!(!key.effect.is_empty() && key.name == key.name.to_lowercase());
            }
        }
    }
}
