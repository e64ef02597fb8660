//! Packages in folders: found, read, and written whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firebrand::package::{File, MANIFEST, Manifest, Package};

use super::convert::Folder;
use super::failure::{Failure, Outcome};
use super::{host, model};

/// Where the manifest is, if `path` is a package's folder or its manifest.
pub fn manifest_of(path: &Path) -> Option<PathBuf> {
    if host::is_dir(path) {
        return Some(path.join(MANIFEST)).filter(|manifest| host::is_file(manifest));
    }
    path.file_name().is_some_and(|name| name == MANIFEST).then(|| path.to_path_buf())
}

/// The names of what a package's folder has.
pub fn names(manifest: &Path) -> Outcome<Vec<String>> {
    let folder = match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", folder.display()));
    Ok(host::read_dir(folder).map_err(failed)?.into_iter().map(|entry| entry.name).collect())
}

/// The labels of the outputs of the package at `path`, by the outputs' names.
pub fn labels(path: &Path, manifest: &Manifest) -> Outcome<BTreeMap<String, Vec<String>>> {
    let labels = Package::labels(manifest, &Folder(&manifest_of(path).unwrap_or(path.to_path_buf())));
    labels.map_err(|error| model::bad(path, error))
}

/// Writes a package: aside first, then in the place of what is there, which must be a package or nothing.
pub fn write(folder: &Path, files: &[File]) -> Outcome<()> {
    let failed = |error: std::io::Error| Failure::io(folder, &error);
    let Some(name) = folder.file_name() else {
        return Err(Failure::input(format!("{}: expected a folder's name", folder.display())));
    };
    let is_there = check_target(folder)?;
    let beside = |ending: &str| folder.with_file_name(format!(".{}.{ending}", name.to_string_lossy()));
    let (aside, before) = (beside("part"), beside("old"));
    // What an earlier run left that was cut short: between two names, the package itself.
    let is_there = is_there || host::rename(&before, folder).is_ok();
    remove(&aside).and_then(|()| remove(&before)).map_err(failed)?;
    let written = host::create_dir_all(&aside).and_then(|()| {
        files.iter().try_for_each(|file| host::write(aside.join(&file.name), &file.bytes))?;
        if is_there {
            host::rename(folder, &before)?;
        }
        host::rename(&aside, folder).inspect_err(|_| {
            if is_there {
                let _ = host::rename(&before, folder);
            }
        })
    });
    // What is left of it is of no use.
    let _ = remove(&aside);
    written.map_err(failed)?;
    let _ = remove(&before);
    Ok(())
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match host::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Whether something is there that may be replaced.
fn check_target(folder: &Path) -> Outcome<bool> {
    let refused = |what: &str| {
        Err(Failure::input(format!("{}: {what}, which is not overwritten", folder.display()))
            .hint("name another folder, or remove that one"))
    };
    if host::is_symlink(folder) {
        return refused("this is a link");
    }
    match host::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(_) if host::exists(folder) => return refused("this is a file"),
        Err(error) => return Err(Failure::io(folder, &error)),
        Ok(entries) => {
            if entries.is_empty() {
                return Ok(true);
            }
        }
    }
    match host::read(folder.join(MANIFEST)).ok().map(|bytes| Manifest::parse(&bytes)) {
        Some(Ok(manifest)) => {
            let known: Vec<&str> = manifest.files().map(|entry| entry.file.as_str()).chain([MANIFEST]).collect();
            let mut others = names(&folder.join(MANIFEST))?;
            others.retain(|name| !known.contains(&name.as_str()));
            match others.as_slice() {
                [] => Ok(true),
                others => {
                    refused(&format!("there is a package with other files in its folder ({})", others.join(", ")))
                }
            }
        }
        _ => refused("there is a folder that is no package of Firebrand"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use firebrand::DataType;
    use firebrand::graph::Dim;
    use firebrand::import::{builder::Builder, model};
    use firebrand::package::{Metadata, WriteOptions};

    fn package(name: &str) -> Vec<File> {
        let mut builder = Builder::new("same");
        let x = builder.input("x", DataType::Float32, vec![Dim::Size(2)]);
        let y = builder.node("Identity", "copy", &[&x], vec![]);
        builder.output("y", &y, DataType::Float32, Some(vec![Dim::Size(2)]));
        let metadata = Metadata {
            name: name.into(),
            version: "1.0.0".into(),
            source: Metadata::source("same.onnx", "onnx", b"same"),
            ..Metadata::default()
        };
        Package::write(&model(builder.finish().unwrap()), &metadata, &[], &WriteOptions::default()).unwrap()
    }

    #[test]
    fn a_package_takes_the_place_of_a_package_and_of_nothing_else() {
        let base = std::env::temp_dir().join(format!("firebrand-package-{}", std::process::id()));
        remove(&base).unwrap();
        fs::create_dir_all(&base).unwrap();
        let folder = base.join("model");
        write(&folder, &package("first")).unwrap();
        write(&folder, &package("second")).unwrap();
        let read = |folder: &Path| Manifest::parse(&fs::read(folder.join(MANIFEST)).unwrap()).unwrap().name;
        assert_eq!(read(&folder), "second");
        assert_eq!(fs::read_dir(&base).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(manifest_of(&folder), Some(folder.join(MANIFEST)));
        assert_eq!(manifest_of(&folder.join(MANIFEST)), Some(folder.join(MANIFEST)));
        assert_eq!(manifest_of(&folder.join("graph.onnx")), None);

        // An empty folder is nothing.
        let empty = base.join("empty");
        fs::create_dir(&empty).unwrap();
        write(&empty, &package("third")).unwrap();
        assert_eq!(read(&empty), "third");

        // An earlier run was killed between its two renames.
        fs::rename(&folder, base.join(".model.old")).unwrap();
        write(&folder, &package("second")).unwrap();
        assert_eq!((read(&folder), fs::read_dir(&base).unwrap().count()), ("second".to_string(), 2));

        fs::write(folder.join("notes.txt"), "mine").unwrap();
        let refused = write(&folder, &package("fourth")).unwrap_err();
        assert!(refused.message().contains("notes.txt"), "{}", refused.message());
        let other = base.join("photos");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a.png"), "mine").unwrap();
        assert!(write(&other, &package("fifth")).unwrap_err().message().contains("no package"));
        assert!(write(&other.join("a.png"), &package("sixth")).unwrap_err().message().contains("file"));
        assert_eq!(fs::read(other.join("a.png")).unwrap(), b"mine");
        assert_eq!(read(&folder), "second");
        remove(&base).unwrap();
    }
}
