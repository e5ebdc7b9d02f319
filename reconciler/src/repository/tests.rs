//! Real repositories in temporary directories: commits, disks, histories, trees.

use super::memory::Memory;
use super::tree::{KnownTrees, Origin};
use super::*;
use executor::artifact::Trees;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;
use tempfile::TempDir;

struct Clone {
    dir: TempDir,
}

impl Clone {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        git2::Repository::init(dir.path()).unwrap();
        Self { dir }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self) -> CommitId {
        let git = git2::Repository::open(self.dir.path()).unwrap();
        let mut index = git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
        let me = git2::Signature::now("a", "a@b").unwrap();
        let head = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = head.iter().collect();
        commit_id(git.commit(Some("HEAD"), &me, &me, "m", &tree, &parents).unwrap())
    }

    fn open(&self, dir: &str) -> Result<Repository, RepositoryError> {
        Repository::open(&Place { dir: self.dir.path().join(dir), git_dir: None })
    }
}

#[test]
fn manifests_are_listed_from_the_commit_under_the_directory_asked_for() {
    let clone = Clone::new();
    for path in ["x/fly.toml", "x/a/fly.toml", "x/a/fly.eu.toml", "x/old/fly.toml", "y/fly.toml"] {
        clone.write(path, path);
    }
    let commit = clone.commit();
    clone.write("x/new/fly.toml", "not committed");
    clone.write("x/a/fly.toml", "changed");
    let repository = clone.open("x").unwrap();
    let include = ["**/fly.toml".to_owned(), "**/fly.*.toml".to_owned()];
    let patterns = repository.patterns(&include, &["old/**".to_owned()]).unwrap();
    let found = repository.at(&commit).unwrap().manifests(&patterns).unwrap();
    let paths: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(paths, ["x/a/fly.eu.toml", "x/a/fly.toml", "x/fly.toml"]);
    assert_eq!(found["x/a/fly.toml"], b"x/a/fly.toml");
    let dirty = repository.uncommitted(|path| patterns.matches(path)).unwrap();
    assert_eq!(dirty, ["x/a/fly.toml", "x/new/fly.toml"]);
    let disk = repository.on_disk().unwrap().manifests(&patterns).unwrap();
    assert_eq!(disk.len(), 4);
    assert_eq!(disk["x/a/fly.toml"], b"changed");
}

#[test]
fn what_is_not_there_is_named() {
    let nowhere = TempDir::new().unwrap();
    let place = |dir: PathBuf| Place { dir, git_dir: None };
    let error = Repository::open(&place(nowhere.path().to_owned())).err().unwrap();
    assert!(matches!(error, RepositoryError::NotFound { .. }), "{error:?}");
    let error = Repository::open(&place(nowhere.path().join("gone"))).err().unwrap();
    assert!(matches!(error, RepositoryError::NoDirectory { .. }), "{error:?}");

    let clone = Clone::new();
    let repository = clone.open("").unwrap();
    assert!(matches!(repository.commit("HEAD"), Err(RepositoryError::Empty { .. })));
    clone.write("a", "a");
    let commit = clone.commit();
    assert_eq!(repository.commit("HEAD").unwrap(), commit);
    for rev in ["deadbeef", "no-such-branch", "$(x)", ""] {
        let error = repository.commit(rev).unwrap_err();
        assert!(matches!(error, RepositoryError::NoCommit { .. }), "{rev} {error:?}");
    }
    fs::create_dir(clone.dir.path().join("later")).unwrap();
    let error = clone.open("later").unwrap().at(&commit).err().unwrap();
    assert_eq!(error.to_string(), format!("later is not in commit {commit}"));
}

#[test]
fn a_bare_repository_is_read_by_its_own_name() {
    let clone = Clone::new();
    clone.write("x/fly.toml", "app");
    let commit = clone.commit();
    let bare = TempDir::new().unwrap();
    let from = clone.dir.path().to_str().unwrap();
    git2::build::RepoBuilder::new().bare(true).clone(from, bare.path()).unwrap();
    let place = Place { dir: "x".into(), git_dir: Some(bare.path().to_owned()) };
    let repository = Repository::open(&place).unwrap();
    assert_eq!(repository.commit("HEAD").unwrap(), commit);
    let text = repository.at(&commit).unwrap().read(&repository.within("fly.toml")).unwrap();
    assert_eq!(text.unwrap(), b"app");
    assert!(matches!(repository.on_disk(), Err(RepositoryError::Bare { .. })));
    assert!(repository.uncommitted(|_| true).unwrap().is_empty());
}

#[test]
fn lineages_follow_the_history() {
    let clone = Clone::new();
    clone.write("a", "1");
    let first = clone.commit();
    clone.write("a", "2");
    let second = clone.commit();
    let git = git2::Repository::open(clone.dir.path()).unwrap();
    git.set_head_detached(oid(&first).unwrap()).unwrap();
    clone.write("a", "3");
    let side = clone.commit();
    let repository = clone.open("").unwrap();
    let lineage = |now, applied| repository.lineage(now, applied).unwrap();
    assert_eq!(lineage(&second, &second), Lineage::Descends);
    assert_eq!(lineage(&second, &first), Lineage::Descends);
    assert_eq!(lineage(&first, &second), Lineage::Older { applied: second.clone() });
    assert_eq!(lineage(&side, &second), Lineage::Sideways { applied: second.clone() });
    let absent = CommitId::parse(&"ab".repeat(20)).unwrap();
    assert!(matches!(lineage(&second, &absent), Lineage::Unknown { .. }));
}

#[test]
fn a_source_tree_is_its_paths_modes_and_contents_and_exports_as_such() {
    let clone = Clone::new();
    clone.write("app/fly.toml", "manifest");
    clone.write("app/bin/run", "#!/bin/sh\n");
    clone.write("app/data", "text");
    clone.write("app/junk.o", "ignored");
    clone.write(".gitignore", "*.o\n");
    let run = clone.dir.path().join("app/bin/run");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("bin/run", clone.dir.path().join("app/link")).unwrap();
    let commit = clone.commit();
    let repository = clone.open("").unwrap();
    let without = BTreeSet::from(["app/fly.toml".to_owned()]);
    let left_out = |path: &str| without.contains(path);
    let at = |commit: &CommitId| {
        repository.at(commit).unwrap().source_tree("app", left_out).unwrap().digest
    };
    let digest = at(&commit);
    let disk = repository.on_disk().unwrap().source_tree("app", left_out).unwrap();
    assert_eq!((disk.digest.as_str(), disk.files), (digest.as_str(), 3));

    clone.write("README", "elsewhere");
    clone.write("app/fly.toml", "another manifest");
    assert_eq!(at(&clone.commit()), digest, "only the tree counts");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o644)).unwrap();
    assert_ne!(at(&clone.commit()), digest, "modes count");

    let mut known = KnownTrees::new(&repository);
    let origin = |commit| Origin { commit, directory: "app".into(), without: without.clone() };
    known.add(digest.clone(), origin(Some(commit)));
    let out = TempDir::new().unwrap();
    known.export(&digest, out.path()).unwrap();
    let mode = |path: &str| fs::metadata(out.path().join(path)).unwrap().permissions().mode();
    assert_eq!((mode("bin/run") & 0o777, mode("data") & 0o777), (0o755, 0o644));
    assert_eq!(fs::read_link(out.path().join("link")).unwrap(), Path::new("bin/run"));
    assert!(!out.path().join("fly.toml").exists());
    assert!(!out.path().join("junk.o").exists());

    let mut known = KnownTrees::new(&repository);
    known.add(digest.clone(), origin(None));
    let out = TempDir::new().unwrap();
    let error = known.export(&digest, out.path()).unwrap_err();
    assert!(matches!(error, TreeError::Export { .. }), "the disk has moved on: {error:?}");
    let error = known.export("0", out.path()).unwrap_err();
    assert!(matches!(error, TreeError::Unknown { .. }));
}

use executor::artifact::TreeError;

#[test]
fn large_files_elsewhere_and_other_repositories_are_named() {
    let clone = Clone::new();
    clone.write("app/model", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    clone.write("app/sub/x", "x");
    git2::Repository::init(clone.dir.path().join("app/sub")).unwrap();
    let repository = clone.open("").unwrap();
    let tree = repository.on_disk().unwrap().source_tree("app", |_| false).unwrap();
    assert_eq!((tree.lfs, tree.submodules), (vec!["app/model".into()], vec!["app/sub".into()]));
}

#[test]
fn a_name_that_leads_out_is_refused() {
    let clone = Clone::new();
    clone.write("a", "a");
    clone.commit();
    let git = git2::Repository::open(clone.dir.path()).unwrap();
    let blob = git.blob(b"/etc").unwrap();
    let mut link = b"120000 app\0".to_vec();
    link.extend(blob.as_bytes());
    let mut below = b"100644 passwd\0".to_vec();
    below.extend(blob.as_bytes());
    let odb = git.odb().unwrap();
    let inner = odb.write(git2::ObjectType::Tree, &below).unwrap();
    link.extend(b"40000 app\0");
    link.extend(inner.as_bytes());
    let root = odb.write(git2::ObjectType::Tree, &link).unwrap();
    let me = git2::Signature::now("a", "a@b").unwrap();
    let tree = git.find_tree(root).unwrap();
    let commit = commit_id(git.commit(None, &me, &me, "m", &tree, &[]).unwrap());
    let repository = clone.open("").unwrap();
    let listed = repository.at(&commit).unwrap().list("");
    assert!(matches!(listed, Err(RepositoryError::Name { .. })), "{listed:?}");
}

#[test]
fn memory_is_kept_beside_the_objects_and_not_in_the_work_tree() {
    let clone = Clone::new();
    let repository = clone.open("").unwrap();
    let fleet = planner::model::name::FleetName::new("prod").unwrap();
    assert_eq!(repository.recall(&fleet).unwrap(), None);
    let memory = Memory { state_dir: "/srv/x".into(), catalog: "0123".into() };
    repository.remember(&fleet, &memory).unwrap();
    assert_eq!(repository.recall(&fleet).unwrap(), Some(memory));
    assert!(repository.uncommitted(|_| true).unwrap().is_empty());
    repository.forget(&fleet).unwrap();
    repository.forget(&fleet).unwrap();
    assert_eq!(repository.recall(&fleet).unwrap(), None);
}

/// A repository whose files are older than its index, as they are but for the first moments.
fn settled() -> Clone {
    let clone = Clone::new();
    clone.write(".gitignore", "out/\n");
    for path in ["fly.toml", "a/fly.toml", "a/serve"] {
        clone.write(path, "as it was");
        let file = fs::File::options().write(true).open(clone.dir.path().join(path)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
    clone.commit();
    clone
}

#[test]
fn what_is_committed_is_seen_at_a_glance_and_nothing_else_is() {
    // The file that differs, and what was done to it.
    type Differs = (&'static str, fn(&Clone));
    let read = |path: &str| path.ends_with("fly.toml");
    let told = |clone: &Clone| {
        let repository = clone.open("").unwrap();
        (repository.is_plainly_clean(&read), repository.uncommitted(read).unwrap())
    };
    let clone = settled();
    clone.write("a/serve", "what is not read may change");
    clone.write("b/serve", "or be new");
    clone.write("out/fly.toml", "and what is ignored may be anything");
    assert_eq!(told(&clone), (true, Vec::new()));

    let differs: [Differs; 7] = [
        ("a/fly.toml", |clone| clone.write("a/fly.toml", "as it was not")),
        ("fly.toml", |clone| {
            // Of the same size and age.
            let path = clone.dir.path().join("fly.toml");
            let before = fs::metadata(&path).unwrap().modified().unwrap();
            clone.write("fly.toml", "as it WAS");
            fs::File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
        }),
        ("a/fly.toml", |clone| fs::remove_file(clone.dir.path().join("a/fly.toml")).unwrap()),
        ("a/fly.toml", |clone| fs::remove_dir_all(clone.dir.path().join("a")).unwrap()),
        ("new/in/fly.toml", |clone| clone.write("new/in/fly.toml", "new")),
        ("fly.toml", |clone| {
            let path = clone.dir.path().join("fly.toml");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a/fly.toml", |clone| {
            // Only in the index.
            let mut index = git2::Repository::open(clone.dir.path()).unwrap().index().unwrap();
            index.remove_path(Path::new("a/fly.toml")).unwrap();
            index.write().unwrap();
        }),
    ];
    for (path, change) in differs {
        let clone = settled();
        change(&clone);
        assert_eq!(told(&clone), (false, vec![path.to_owned()]));
    }
}

#[test]
fn another_repository_within_is_left_to_git() {
    let read = |path: &str| path.ends_with("fly.toml");
    let clone = settled();
    git2::Repository::init(clone.dir.path().join("other")).unwrap();
    clone.write("other/fly.toml", "not ours");
    let repository = clone.open("").unwrap();
    assert!(!repository.is_plainly_clean(&read));
    assert_eq!(repository.uncommitted(read).unwrap(), Vec::<String>::new());
}

#[test]
fn a_pointer_of_git_lfs_is_told_wherever_its_content_stands() {
    let clone = Clone::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for path in ["a/model", "b/model"] {
        clone.write(path, pointer);
    }
    clone.write("b/essay", &format!("{pointer}{}", "and much more".repeat(100)));
    let commit = clone.commit();
    let repository = clone.open("").unwrap();
    for snapshot in [repository.at(&commit).unwrap(), repository.on_disk().unwrap()] {
        for directory in ["a", "b"] {
            let tree = snapshot.source_tree(directory, |_| false).unwrap();
            assert_eq!(tree.lfs, [format!("{directory}/model")]);
        }
    }
}
