//! Layouts of real repositories with several manifests: each is made anew as a bare repository, and
//! every manifest in it is found, and is good or refused with a reason and its place.

use super::manifests::corpus;
use super::repo::Repo;
use git2::{FileMode, Signature, build::TreeUpdateBuilder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Path in the repository, and what is there.
type Layout = BTreeMap<String, Vec<u8>>;

fn layouts(corpus: &Path) -> BTreeMap<String, Layout> {
    let mut layouts: BTreeMap<String, Layout> = BTreeMap::new();
    let table = std::fs::read_to_string(corpus.join("monorepos.tsv")).unwrap();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (repository, path, app, mounts) = (columns[0], columns[3], columns[4], columns[5]);
        let file = columns.get(6).map(|name| corpus.join("manifests").join(name));
        let bytes = file.and_then(|file| std::fs::read(file).ok());
        // Of some only the name and whether it has mounts is known.
        let made = || {
            let app = if app == "None" { String::new() } else { format!("app = {app:?}\n") };
            let mount = "[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\n";
            app + if mounts == "none" { "" } else { mount }
        };
        let bytes = bytes.unwrap_or_else(|| made().into_bytes());
        layouts.entry(repository.to_owned()).or_default().insert(path.to_owned(), bytes);
    }
    layouts
}

/// A bare repository with one commit that holds the layout.
fn make_bare(directory: &Path, layout: &Layout) {
    let git = git2::Repository::init_bare(directory).unwrap();
    let mut update = TreeUpdateBuilder::new();
    for (path, bytes) in layout {
        update.upsert(path, git.blob(bytes).unwrap(), FileMode::Blob);
    }
    let empty = git.treebuilder(None).unwrap().write().unwrap();
    let tree = update.create_updated(&git, &git.find_tree(empty).unwrap()).unwrap();
    let author = Signature::now("t", "t@example.com").unwrap();
    let tree = git.find_tree(tree).unwrap();
    git.commit(Some("HEAD"), &author, &author, "m", &tree, &[]).unwrap();
}

/// A fleet with hosts in every region that a manifest of the layout names.
fn settings(repo: &Repo, layout: &Layout, include: &[&str]) -> String {
    let mut regions: BTreeSet<String> = BTreeSet::from(["ewr".to_owned()]);
    for bytes in layout.values() {
        let manifest = planner::manifest::read("", bytes).manifest;
        let region = manifest.and_then(|manifest| manifest.written.primary_region);
        let name = region.map(|at| at.value).filter(|name| !name.is_empty());
        regions
            .extend(name.filter(|name| planner::model::name::Region::new(name.as_str()).is_ok()));
    }
    let mut text =
        format!("fleet = \"f\"\nstate_dir = {:?}\n[apps]\ninclude = {include:?}\n", repo.state());
    for (number, region) in regions.iter().enumerate() {
        text += &format!(
            "[[hosts]]\nname = \"h-{region}\"\nregion = {region:?}\nsubnet = \"127.90.{number}.0/24\"\n\
             memory = \"64GB\"\ncpus = 16\nstorage = {{ driver = \"local\", capacity = \"500GB\" }}\n"
        );
    }
    text
}

#[test]
fn every_layout_resolves_or_says_why_not() {
    let Some(corpus) = corpus() else { return };
    let repo = Repo::empty();
    let (mut good, mut refused, mut why) = (0, 0, BTreeMap::<String, usize>::new());
    let layouts = layouts(&corpus);
    for (number, (name, layout)) in layouts.iter().enumerate() {
        let usual = layout.keys().filter(|path| is_usual(path)).count();
        let patterns: Vec<&str> = layout.keys().map(String::as_str).collect();
        let include = ["**/fly.toml", "**/fly.*.toml"];
        for (kind, include, found) in
            [("usual", &include[..], usual), ("all", &patterns, layout.len())]
        {
            let mut layout = layout.clone();
            layout.insert("tiedown.toml".into(), settings(&repo, &layout, include).into_bytes());
            let directory = repo.dir().join(format!("{number}-{kind}.git"));
            make_bare(&directory, &layout);
            let directory = directory.to_str().unwrap();
            let args = ["validate", "--git-dir", directory, "--format", "json"];
            let said = repo.run(&args);
            let told: Value = serde_json::from_str(&said.out).unwrap();
            assert_eq!(told["manifests"], found, "{name}, {kind}: {said}");
            let problems = told["problems"].as_array().unwrap();
            let errors: Vec<&Value> =
                problems.iter().filter(|p| p["severity"] == "error").collect();
            assert_eq!(said.code == 0, errors.is_empty(), "{name}: {said}");
            for error in &errors {
                assert_reasonable(name, &layout, error);
                *why.entry(error["code"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            if errors.is_empty() { good += 1 } else { refused += 1 }
        }
    }
    println!("{} layouts, twice each: {good} good, {refused} refused for {why:#?}", layouts.len());
    assert!(layouts.len() > 30 && good > 60);
}

fn is_usual(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap();
    name == "fly.toml" || name.starts_with("fly.") && name.ends_with(".toml")
}

/// A place in a file of the layout, and a way out; for names that clash the other place too.
fn assert_reasonable(name: &str, layout: &Layout, error: &Value) {
    let file = error["file"].as_str().unwrap();
    let text = String::from_utf8_lossy(&layout[file]);
    let line = usize::try_from(error["line"].as_u64().unwrap()).unwrap();
    assert!((1..=text.lines().count().max(1)).contains(&line), "{name}: {error}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{name}: {error}");
    if error["code"] == "clash" {
        let hint = error["hint"].as_str().unwrap();
        let others = layout.keys().filter(|path| *path != file && hint.contains(path.as_str()));
        assert!(others.count() > 0 && hint.contains("include"), "{name}: {error}");
    }
}
