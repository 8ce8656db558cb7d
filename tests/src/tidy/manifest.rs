//! Rules over `Cargo.toml` and what `cargo metadata` says.
use super::Finding;
use serde_json::Value;

/// Crates from the bottom to the top; each may depend on those before it.
const LAYERS: [&str; 9] = [
    "troupe-types",
    "troupe-config",
    "troupe-storage",
    "troupe-actors",
    "troupe-pd-actor",
    "troupe-http-api",
    "troupe-grpc-api",
    "troupe-server",
    "troupe-tests",
];

/// Crates below the actors: they know neither the runtime nor the actor library.
const RUNTIME_FREE: [&str; 3] = ["troupe-types", "troupe-config", "troupe-storage"];

/// The runtimes meant by [`RUNTIME_FREE`].
const RUNTIMES: [&str; 4] = ["actix", "actix-rt", "actix-web", "tokio"];

fn finding(package: &str, problem: String) -> Finding {
    Finding { path: format!("{package}/Cargo.toml"), line: 0, problem }
}

/// Dependencies that do not point down.
#[must_use]
pub fn wrong_direction(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, dependency) in dependencies(metadata) {
        let from = LAYERS.iter().position(|name| *name == package);
        let to = LAYERS.iter().position(|name| *name == dependency);
        match (from, to) {
            (None, _) => findings.push(finding(&package, "this crate has no layer".to_owned())),
            (Some(from), Some(to)) if to >= from => {
                findings.push(finding(&package, format!("may not depend on {dependency}")));
            }
            (Some(_), Some(_) | None) => {}
        }
    }
    findings
}

/// Lower crates that pull in a runtime.
#[must_use]
pub fn runtime_below_actors(metadata: &Value) -> Vec<Finding> {
    let pairs = dependencies(metadata).into_iter();
    pairs
        .filter(|(package, _)| RUNTIME_FREE.contains(&package.as_str()))
        .filter(|(_, dependency)| RUNTIMES.contains(&dependency.as_str()))
        .map(|(package, dependency)| finding(&package, format!("may not depend on {dependency}")))
        .collect()
}

/// Package and dependency, for each dependency of each workspace member.
fn dependencies(metadata: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let from = name(package);
            let targets = list(&package["dependencies"]);
            targets.iter().map(|to| (from.clone(), name(to))).collect::<Vec<_>>()
        })
        .collect()
}

/// Supervision catches panics: every profile must unwind.
#[must_use]
pub fn profiles_that_abort(manifest: &toml::Table) -> Vec<Finding> {
    let profile = |name: &str| manifest.get("profile").and_then(|all| all.get(name));
    ["dev", "release"]
        .into_iter()
        .filter(|name| {
            let panic = profile(name).and_then(|profile| profile.get("panic"));
            panic.and_then(toml::Value::as_str) != Some("unwind")
        })
        .map(|name| Finding {
            path: "Cargo.toml".to_owned(),
            line: 0,
            problem: format!("profile.{name} needs `panic = \"unwind\"`"),
        })
        .collect()
}
