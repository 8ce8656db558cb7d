//! `troupe init`: writes the commented configuration file.
use crate::cli::InitArgs;
use crate::error::CliError;
use crate::output::write_stdout;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Writes the sample file; never over another one unless told to.
///
/// # Errors
/// The file exists, or cannot be written.
pub(crate) fn init(args: &InitArgs) -> Result<(), CliError> {
    let sample = troupe_config::sample::sample();
    if args.file == Path::new("-") {
        return write_stdout(sample.as_bytes());
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(args.force).create_new(!args.force);
    let name = args.file.display();
    let what = || format!("cannot write {name} (an existing file needs --force)");
    let mut file = options.open(&args.file).map_err(|source| CliError::io(what(), source))?;
    file.write_all(sample.as_bytes()).map_err(|source| CliError::io(what(), source))?;
    eprintln!("troupe: wrote {name}; every key stands there with its default");
    eprintln!("        start a node with:  troupe start --config {name}");
    Ok(())
}
