//! Finds scenarios by name or by file.
use super::header::Header;
use crate::error::CliError;
use std::fs;
use std::path::{Path, PathBuf};

/// A script and what it says about itself.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of the file without `.sh`.
    pub name: String,
    /// The script.
    pub path: PathBuf,
    /// Its first lines.
    pub header: Header,
}

/// Those that `names` mean: names, files, or `all`.
pub(super) fn named(dir: Option<&Path>, names: &[String]) -> Result<Vec<Scenario>, CliError> {
    let mut found = Vec::new();
    for name in names {
        if name == "all" {
            found.extend(all(dir)?);
        } else if name.contains('/') || name.ends_with(".sh") {
            found.push(read(Path::new(name))?);
        } else {
            let path = folder(dir)?.join(format!("{name}.sh"));
            if !path.is_file() {
                let known: Vec<_> = all(dir)?.into_iter().map(|scenario| scenario.name).collect();
                let known = known.join(", ");
                return Err(CliError::NotFound(format!("no scenario `{name}`; there are {known}")));
            }
            found.push(read(&path)?);
        }
    }
    Ok(found)
}

/// All of the folder, by name.
pub(super) fn all(dir: Option<&Path>) -> Result<Vec<Scenario>, CliError> {
    let folder = folder(dir)?;
    let what = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(&folder).map_err(|source| CliError::io(what(), source))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|end| end == "sh")
            && path.file_name() != Some("lib.sh".as_ref())
    });
    paths.sort_unstable();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Scenario, CliError> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|source| CliError::io(format!("cannot read {shown}"), source))?;
    let header = Header::parse(&text);
    let header = header.map_err(|why| CliError::Usage(format!("{shown}: {why}")))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path = fs::canonicalize(path)
        .map_err(|source| CliError::io(format!("cannot read {shown}"), source))?;
    Ok(Scenario { name, path, header })
}

/// The folder given, or the nearest `scenarios` here or above.
fn folder(dir: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(dir) = dir {
        return Ok(dir.to_owned());
    }
    let here = std::env::current_dir().map_err(|source| CliError::io("no folder", source))?;
    let found = here.ancestors().map(|path| path.join("scenarios")).find(|path| path.is_dir());
    found.ok_or_else(|| {
        CliError::NotFound("no folder `scenarios` here or above: use --dir".to_owned())
    })
}
