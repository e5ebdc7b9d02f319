//! The rules that a manifest can break: their names, how bad each is, and what flyctl does.

use super::problem::Severity;
use serde::{Serialize, Serializer};

/// What flyctl does with the same mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flyctl {
    /// It cannot make a configuration of the file.
    CannotRead,
    /// It reads the file and `fly config validate` fails.
    Refuses,
    /// It prints a warning, here or when deploying.
    Warns,
    /// It says nothing, or has no such rule.
    Silent,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $flyctl:ident $what:literal;)*) => {
        /// A rule, by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $what] $variant,)*
        }

        impl Code {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the rule, as printed and as used in SARIF.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad it is without `--strict`.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What flyctl usually does with it; a problem may say otherwise.
            #[must_use]
            pub const fn flyctl(self) -> Flyctl {
                match self { $(Self::$variant => Flyctl::$flyctl,)* }
            }

            /// The rule in one sentence.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

codes! {
    TooLarge "too-large" Error Silent "A manifest has at most 1 MiB.";
    NotUtf8 "not-utf8" Error CannotRead "A manifest is UTF-8 text.";
    ByteOrderMark "byte-order-mark" Error CannotRead "A manifest does not begin with a byte order mark.";
    BadSignal "bad-signal" Warning Silent "A signal is one that ends or tells a process.";
    NulByte "nul-byte" Error CannotRead "There is no NUL in a manifest, also not as an escape.";
    Syntax "syntax" Error CannotRead "A manifest is TOML.";
    TooManyProblems "too-many-problems" Error Silent "At most 1000 problems of a manifest are told.";
    TooDeep "too-deep" Error Silent "Values nest at most 80 levels deep.";
    Toml11 "toml-1-1" Error CannotRead "A manifest is TOML 1.0; flyctl does not read what 1.1 added.";
    NotFinite "not-finite" Error CannotRead "Numbers are finite.";
    WrongType "wrong-type" Error CannotRead "A value has the type that its key asks for.";
    BadDuration "bad-duration" Error CannotRead "A duration is numbers with units, such as 1m30s.";
    BadValue "bad-value" Error CannotRead "A value is one of those that its key allows.";
    UnknownSection "unknown-section" Warning Silent "Every section and top-level key is one that is read.";
    UnknownKey "unknown-key" Warning Silent "Every key of a section is one that is read.";
    UnknownTiedownKey "unknown-tiedown-key" Error Silent "Every key of `[tiedown]` is one that is read.";
    RetiredKey "retired-key" Warning Silent "Keys that flyctl no longer reads are taken out.";
    KeyCase "key-case" Warning Silent "Keys are written in lower case; flyctl reads others only in part.";
    IgnoredSection "ignored-section" Warning Silent "A section is written so that flyctl does not drop it.";
    IgnoredValue "ignored-value" Warning Silent "A value is of a type that flyctl does not drop.";
    TwiceGiven "twice-given" Warning Silent "A setting is given under one of its names only.";
    AppMissing "app-missing" Error Silent "A manifest names its app.";
    BadAppName "bad-app-name" Error Silent "An app's name is 1 to 63 lower-case letters, digits and dashes, not beginning with a dash.";
    UnresolvedVariable "unresolved-variable" Warning Silent "Nothing in a manifest is replaced by variables.";
    BadGroupName "bad-group-name" Error Silent "A process group's name is 1 to 63 letters, digits, dashes and underscores, not beginning with a dash.";
    TooManyGroups "too-many-groups" Error Silent "An app has at most 256 process groups.";
    BadRegion "bad-region" Error Silent "A region is 1 to 20 lower-case letters, digits and dashes, not beginning with a dash.";
    BadSource "bad-source" Error Silent "A volume's name is 1 to 30 lower-case letters, digits and underscores.";
    BadDestination "bad-destination" Error Silent "A mount's destination is an absolute path below / without . or .. in it.";
    BadEnvName "bad-env-name" Error Silent "The name of an environment variable is not empty and has no = in it.";
    SourceTwice "source-twice" Error Silent "A group mounts a volume once.";
    DestinationTwice "destination-twice" Error Silent "A group mounts one volume at a destination.";
    DestinationInside "destination-inside" Warning Silent "No mount of a group hides a part of another.";
    BadSize "bad-size" Error Refuses "A size is a number and a unit, at least 1 GB for a volume.";
    SizeCut "size-cut" Warning Silent "A volume's size is whole gigabytes; flyctl cuts off the rest.";
    SnapshotRetention "snapshot-retention" Error Refuses "Snapshots are kept for 1 to 60 days.";
    AutoExtend "auto-extend" Error Refuses "Auto-extension has a threshold of 50 to 99, an increment of 1 to 100 GB and a limit of 1 to 500 GB.";
    AutoExtendUnlimited "auto-extend-unlimited" Warning Silent "Auto-extension has a limit.";
    LimitBelowSize "limit-below-size" Warning Silent "The limit of auto-extension is at least the initial size.";
    UnknownGroup "unknown-group" Warning Silent "A section names process groups that exist.";
    ServiceGroup "service-group" Error Refuses "A service names process groups that exist, once there are any.";
    RestartGroup "restart-group" Error Refuses "A restart policy names process groups that exist.";
    ServiceWithoutPorts "service-without-ports" Warning Warns "A service has at least one port.";
    BadPort "bad-port" Warning Silent "A port is 1 to 65535.";
    BadProtocol "bad-protocol" Warning Silent "A service's protocol is tcp or udp, a check's http or https.";
    BadConcurrency "bad-concurrency" Warning Silent "Limits are of connections or requests, and the soft one is not above the hard one.";
    CheckDuration "check-duration" Warning Warns "Times of service checks are 1 second to 1 minute.";
    CheckLimits "check-limits" Error Refuses "A check's interval is at least 2 seconds and its timeout at most 60.";
    CheckType "check-type" Error Refuses "A check's type is http or tcp.";
    CheckWithoutPort "check-without-port" Error Silent "A check has a port, or its group an http_service to take it from.";
    Nanoseconds "nanoseconds" Warning Silent "A duration has a unit: here a bare number counts nanoseconds.";
    Strategy "strategy" Error Refuses "The strategy is canary, rolling, immediate or bluegreen.";
    CanaryWithMounts "canary-with-mounts" Error Refuses "There is no volume for an extra instance: no canary with mounts, but for canary = \"clone\".";
    BluegreenWithMounts "bluegreen-with-mounts" Error Silent "There are no volumes for a second set of instances: no bluegreen with mounts.";
    ImmediateWithSnapshot "immediate-with-snapshot" Error Silent "Immediate waits for nothing, so nothing goes back to a snapshot: not with revert = \"snapshot\" and mounts.";
    BluegreenWithoutChecks "bluegreen-without-checks" Error Silent "Bluegreen goes on when checks pass: it needs at least one, and flyctl refuses to deploy without.";
    MaxUnavailable "max-unavailable" Error Silent "max_unavailable is more than 0.";
    MaxUnavailableUnused "max-unavailable-unused" Warning Warns "max_unavailable is of use with rolling and canary only.";
    BadCommand "bad-command" Error Refuses "A command has closed quotes.";
    BadGuest "bad-guest" Error Silent "A vm has a size that exists and memory.";
    BadRestart "bad-restart" Error Refuses "A restart policy is always, never or on-failure.";
    UnusedEntry "unused-entry" Warning Silent "Each entry of vm, restart and metrics counts for a group.";
    BuildTwice "build-twice" Warning Warns "There is one thing to build from.";
    Compression "compression" Error Refuses "Compression is gzip or zstd, its level 0 to 9.";
    SecretInEnv "secret-in-env" Warning Warns "Secrets are not written into [env].";
    EnvReplaced "env-replaced" Warning Silent "PRIMARY_REGION in [env] is what primary_region says.";
    BadFile "bad-file" Error Silent "A file has an absolute guest_path, and a local_path inside of the repository.";
    FileWithoutSource "file-without-source" Warning Silent "A file has a local_path, a secret_name or a raw_value.";
    BadSetting "bad-setting" Error Silent "A setting of `[tiedown]` has a value that it allows.";
    UnknownScaleGroup "unknown-scale-group" Error Silent "[tiedown.scale] names process groups that exist.";
    UnknownSource "unknown-source" Error Silent "[tiedown.volumes] names volumes that are mounted.";
    MovesNothing "moves-nothing" Warning Silent "A name in `moved` became one that there is.";
    UnknownRegion "unknown-region" Error Silent "A region is one that the fleet has hosts in.";
    NoRegion "no-region" Error Silent "A manifest says where its slots go, unless the fleet has one region.";
    FileMissing "file-missing" Error Silent "A local_path names a file of the same commit.";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_sentences_end() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.explanation().ends_with('.')));
    }
}
