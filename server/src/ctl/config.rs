//! `troupe ctl config`: checks and explains configuration files.
use crate::cli::{ConfigCommand, OutputFormat};
use crate::error::CliError;
use crate::output::{Cell, column, print_list};
use crate::start::file_and_environment;
use serde_json::json;
use std::path::Path;
use troupe_config::{Layers, Loaded};

pub(super) fn run(format: OutputFormat, command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            load(Some(file))?.config.validate()?;
            eprintln!("troupe: {} is valid", file.display());
            Ok(())
        }
        ConfigCommand::Explain { key, config } => {
            explain(format, &load(config.as_deref())?, key.as_deref().unwrap_or_default())
        }
    }
}

fn load(file: Option<&Path>) -> Result<Loaded, CliError> {
    let mut layers = Layers::new();
    file_and_environment(&mut layers, file, std::env::vars())?;
    Ok(layers.load()?)
}

fn explain(format: OutputFormat, loaded: &Loaded, prefix: &str) -> Result<(), CliError> {
    let keys = loaded.explain().into_iter().filter(|key| key.key.starts_with(prefix));
    let items: Vec<_> = keys
        .map(|key| json!({ "key": key.key, "value": key.value, "from": key.origin.to_string() }))
        .collect();
    if items.is_empty() {
        return Err(CliError::NotFound(format!("no key begins with `{prefix}`")));
    }
    let columns = [
        column("KEY", "/key", Cell::Plain),
        column("VALUE", "/value", Cell::Plain),
        column("FROM", "/from", Cell::Plain),
    ];
    print_list(format, &json!({ "items": items }), &columns)
}
