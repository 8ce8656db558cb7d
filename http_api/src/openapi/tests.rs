//! The document is complete, because it comes from the table of routes; the rest is checked here.
use super::{document, shown_path};
use crate::routes;
use serde_json::Value;
use std::collections::BTreeSet;

fn json() -> Value {
    serde_json::from_str(&document("1.2.3").to_json().unwrap()).unwrap()
}

#[test]
fn every_operation_is_described() {
    let document = json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], "1.2.3");
    let mut names = BTreeSet::new();
    for operation in routes::all() {
        let path = shown_path(operation.path);
        let shown = &document["paths"][&path][operation.verb.as_str().to_ascii_lowercase()];
        assert_eq!(shown["operationId"], operation.name, "{path}");
        assert!(names.insert(operation.name), "{} is there twice", operation.name);
        for field in ["summary", "description", "x-curl"] {
            assert!(shown[field].as_str().is_some_and(|text| text.len() > 5), "{path}: {field}");
        }
        assert!(shown["x-curl"].as_str().unwrap().starts_with("curl "));
        let replies = shown["responses"].as_object().unwrap();
        assert!(replies.keys().any(|status| status.starts_with('2') || status.starts_with('3')));
        let problem = "#/components/schemas/Problem";
        let shown_problem =
            &replies["400"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(shown_problem, problem, "{path}");
        let path_params = path.matches('{').count();
        let parameters = shown["parameters"].as_array().unwrap();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(path_params, in_path, "{path}: parameters of the path");
    }
    let shown: usize =
        document["paths"].as_object().unwrap().values().map(|i| i.as_object().unwrap().len()).sum();
    assert_eq!(shown, names.len());
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = json();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "only {} references", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_body_has_its_schema() {
    for operation in routes::all() {
        let writes = !matches!(operation.verb, routes::Verb::Get);
        assert!(!operation.data || !operation.tag.is_empty());
        if operation.body != crate::gate::body::BodyKind::None {
            let takes = !matches!(operation.takes, routes::operation::Content::Nothing);
            assert!(writes && takes, "{}", operation.name);
        }
    }
}
