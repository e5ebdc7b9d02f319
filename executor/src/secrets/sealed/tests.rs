//! Versions, what shows of values, and what becomes of files that were altered.

use super::*;

fn secrets(root: &tempfile::TempDir, fleet: &str) -> SealedSecrets {
    SealedSecrets::new(fleet.parse().unwrap(), StateDir::at(root.path()))
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn name(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn secret(value: &str) -> Secret {
    Secret::new(Zeroizing::new(value.as_bytes().to_vec())).unwrap()
}

fn change(root: &tempfile::TempDir, value: Option<&str>) -> Ensured {
    let values = BTreeMap::from([(name("TOKEN"), value.map(secret))]);
    secrets(root, "prod").change(&app("web"), values).unwrap()[&name("TOKEN")]
}

fn set(root: &tempfile::TempDir) -> Option<u64> {
    let listed = secrets(root, "prod").list().unwrap();
    listed.get(&app("web")).and_then(|set| set.get(&name("TOKEN"))).map(|set| set.version)
}

fn get(root: &tempfile::TempDir, version: u64) -> Option<String> {
    let versions = SecretVersions::from([(name("TOKEN"), version)]);
    match secrets(root, "prod").get(&app("web"), &versions) {
        Ok(values) => Some(values[&name("TOKEN")].expose().to_owned()),
        Err(SecretError::Absent { version: absent, .. }) if absent == version => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_version_names_one_value_also_after_it_was_unset() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(set(&root), None);
    assert_eq!(change(&root, None), Ensured::AlreadySo);
    assert!(!root.path().join("secrets").exists());
    assert_eq!(change(&root, Some("one")), Ensured::Made);
    assert_eq!(change(&root, Some("one")), Ensured::AlreadySo);
    assert_eq!(set(&root), Some(1));
    assert_eq!(change(&root, Some("two")), Ensured::Changed);
    assert_eq!(
        (set(&root), get(&root, 1), get(&root, 2)),
        (Some(2), Some("one".into()), Some("two".into()))
    );
    assert_eq!(change(&root, None), Ensured::Made);
    assert_eq!((set(&root), get(&root, 2), get(&root, 3)), (None, Some("two".into()), None));
    assert_eq!(change(&root, Some("one")), Ensured::Made);
    assert_eq!((set(&root), get(&root, 4)), (Some(4), Some("one".into())));
    // Too many came after it.
    assert_eq!(get(&root, 1), None);
}

#[test]
fn nothing_of_it_can_be_read_without_the_key_or_as_another_app() {
    let root = tempfile::tempdir().unwrap();
    change(&root, Some("a value that is long enough to be found"));
    for entry in fs::read_dir(root.path().join("secrets")).unwrap() {
        let stored = fs::read(entry.unwrap().path()).unwrap();
        assert!(!stored.windows(7).any(|window| window == b"a value" || window == b"TOKEN\":"));
    }
    let state = StateDir::at(root.path());
    let file = state.secrets_of(&app("web"));
    fs::copy(&file, state.secrets_of(&app("api"))).unwrap();
    let of_another = |fleet: &str, of: &str| {
        let versions = SecretVersions::from([(name("TOKEN"), 1)]);
        secrets(&root, fleet).get(&app(of), &versions)
    };
    assert!(of_another("prod", "web").is_ok());
    assert!(matches!(of_another("prod", "api"), Err(SecretError::Unreadable { .. })));
    assert!(matches!(of_another("dev", "web"), Err(SecretError::Unreadable { .. })));
    let stored = fs::read(&file).unwrap();
    for at in (0..stored.len()).step_by(7) {
        let mut altered = stored.clone();
        altered[at] = if altered[at] == b'1' { b'2' } else { b'1' };
        fs::write(&file, &altered).unwrap();
        assert!(of_another("prod", "web").is_err(), "byte {at}");
    }
}

#[test]
fn a_lost_sealing_key_is_not_made_anew() {
    let root = tempfile::tempdir().unwrap();
    change(&root, Some("one"));
    fs::remove_file(StateDir::at(root.path()).secrets_seal()).unwrap();
    assert!(matches!(secrets(&root, "prod").list(), Err(SecretError::Seal { .. })));
    let values = BTreeMap::from([(name("OTHER"), Some(secret("x")))]);
    let changed = secrets(&root, "prod").change(&app("api"), values);
    assert!(matches!(changed, Err(SecretError::Seal { .. })), "{changed:?}");
}

#[test]
fn a_value_shows_nowhere_and_is_text_that_an_environment_holds() {
    assert_eq!(format!("{:?}", secret("hunter2")), "Secret");
    assert!(Secret::new(Zeroizing::new(b"a\0b".to_vec())).is_none());
    assert!(Secret::new(Zeroizing::new(vec![0xff])).is_none());
}
