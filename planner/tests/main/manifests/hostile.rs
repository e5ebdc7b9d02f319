//! Bytes that nobody would write in good faith: nothing panics, nothing takes long, and each has
//! a message.

use planner::manifest::problem::{Look, render_all};
use planner::manifest::read;
use proptest::prelude::*;

fn survives(bytes: &[u8]) -> Vec<&'static str> {
    let read = read("fly.toml", bytes);
    if let Some(manifest) = &read.manifest {
        assert!(manifest.config_json().is_object());
        assert!(!manifest.groups.is_empty());
    }
    let text = String::from_utf8_lossy(bytes);
    // Pictures of a few will do: there may be very many problems.
    let first: Vec<_> = read.problems.iter().take(20).cloned().collect();
    assert_eq!(render_all(&first, &text, Look::Plain).is_empty(), first.is_empty());
    assert_eq!(render_all(&first, &text, Look::Styled).is_empty(), first.is_empty());
    read.problems.iter().map(|problem| problem.code.as_str()).collect()
}

#[test]
fn each_kind_of_bad_bytes_has_its_message() {
    let deep = |open: &str, close: &str| format!("a = {}{}", open.repeat(200), close.repeat(200));
    for (bytes, code) in [
        (b"app = \"\xff\"".to_vec(), "not-utf8"),
        (b"\xef\xbb\xbfapp = 'a'".to_vec(), "byte-order-mark"),
        (b"app = 'a'\0".to_vec(), "nul-byte"),
        (b"app = 'a'\n[env]\nA = \"\\u0000\"".to_vec(), "nul-byte"),
        (b"app = \"a\x07\"".to_vec(), "syntax"),
        (vec![b'#'; (1 << 20) + 1], "too-large"),
        (deep("[", "]").into_bytes(), "too-deep"),
        (deep("{a=", "}").into_bytes(), "too-deep"),
        (format!("{} = 1", vec!["a"; 200].join(".")).into_bytes(), "too-deep"),
        (b"app = 'a'\nx = {\n a = 1 }".to_vec(), "toml-1-1"),
        (b"app = 'a'\nx = { a = 1, }".to_vec(), "toml-1-1"),
        (b"app = 'a'\nx = \"\\e\"".to_vec(), "toml-1-1"),
        (b"app = 'a'\nx = 07:32".to_vec(), "toml-1-1"),
        (b"app = 'a'\nx = inf".to_vec(), "not-finite"),
    ] {
        let codes = survives(&bytes);
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
}

#[test]
fn windows_line_ends_and_empty_files_are_read() {
    assert!(survives(b"app = 'a'\r\n[env]\r\nA = '1'\r\n").is_empty());
    assert_eq!(survives(b""), ["app-missing"]);
    assert_eq!(survives(b"\n\n"), ["app-missing"]);
}

#[test]
fn toml_1_0_is_not_taken_for_1_1() {
    for text in [
        "x = { a = [\n 1,\n 2,\n] }",
        "x = { a = \"\"\"\n\"\"\" }",
        "x = \"\\\\e\"",
        "x = 07:32:00",
        "x = '\\e'",
        "x = { a = 'b,' }",
        "x = {}",
        "x = { }",
    ] {
        let codes = survives(format!("app = 'a'\n{text}\n").as_bytes());
        assert_eq!(codes, ["unknown-section"], "{text}");
    }
}

/// Ten thousand mounts take about a hundred times as long as a hundred: nothing is quadratic.
#[test]
fn ten_thousand_mounts_are_read() {
    let mount = |n: usize| format!("[[mounts]]\nsource = 'd{n}'\ndestination = '/d{n}'\n");
    let text: String = (0..10_000).map(mount).collect();
    let read = read("fly.toml", format!("app = 'a'\n{text}").as_bytes());
    assert_eq!(read.problems, []);
    assert_eq!(read.manifest.unwrap().groups[0].mounts.len(), 10_000);
}

fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "app",
        "mounts",
        "mount",
        "vm",
        "services",
        "http_service",
        "checks",
        "env",
        "processes",
        "deploy",
        "restart",
        "files",
        "experimental",
        "tiedown",
        "scale",
        "volumes",
        "source",
        "destination",
        "initial_size",
        "memory",
        "ports",
        "port",
        "headers",
        "name",
        "strategy",
        "Mounts",
        "VM",
        "interval",
        "kill_timeout",
        "concurrency",
        "moved",
        "retention",
        "é",
    ];
    let values = [
        "1",
        "-1",
        "1.5",
        "nan",
        "true",
        "'x'",
        "\"\\u0000\"",
        "'10gb'",
        "[]",
        "{}",
        "['a']",
        "[{}]",
        "1979-05-27",
        "'5m'",
        "'\u{202e}'",
        "9223372036854775807",
        "''",
        "'group:a=b'",
        "{ a = { b = 1 } }",
        "'20,25'",
        "07:32:00",
    ];
    let key = prop::collection::vec(prop::sample::select(words.to_vec()), 1..4).prop_map(|keys| {
        keys.iter()
            .map(|k| if k.is_ascii() { (*k).to_string() } else { format!("'{k}'") })
            .collect::<Vec<_>>()
            .join(".")
    });
    let value = prop::sample::select(values.to_vec());
    (key, value, 0..3u8).prop_map(|(key, value, kind)| match kind {
        0 => format!("[{key}]\n"),
        1 => format!("[[{key}]]\n"),
        _ => format!("{key} = {value}\n"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        survives(text.as_bytes());
    }

    #[test]
    fn anything_like_a_manifest_is_survived(parts in prop::collection::vec(fragment(), 0..12)) {
        survives(parts.concat().as_bytes());
    }
}

#[test]
fn what_is_no_manifest_still_says_whose_it_is() {
    for text in [
        "\u{feff}app = \"shop\"\r\n[env]\r\nA = \"1\"\r\n",
        "app = \"shop\"\n[env]\nA = B\n",
        "app = \"shop\"\n[env\napp = \"other\"\n",
        "app = \"shop\"\nkill_signal = \"\0\"\n",
        "app = \"shop\"\nkill_signal = 9\n",
    ] {
        let read = read("fly.toml", text.as_bytes());
        assert_eq!((read.manifest, read.app.as_deref()), (None, Some("shop")), "{text:?}");
    }
    for text in ["[env\napp = \"other\"\n", "[env]\napp = \"other\"\nA = B\n", "app = shop\n"] {
        assert_eq!(read("fly.toml", text.as_bytes()).app, None, "{text:?}");
    }
}
