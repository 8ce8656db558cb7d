//! Strict decoding: what is not known is refused, with the known name that looks most like it.
use crate::error::Problem;
use crate::json::bytes::percent_decode;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use troupe_types::Code;

/// Names closer than this (0 to 1) are suggested.
const SIMILAR: f64 = 0.7;

/// Decodes a JSON body.
///
/// # Errors
/// `BAD_JSON` or `UNKNOWN_FIELD`.
pub fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(Code::BadJson, "the body is empty; this operation takes JSON"));
    }
    serde_json::from_slice(body).map_err(|error| json_problem(&error))
}

/// Serde tells an unknown field only by its message: ``unknown field `a`, expected `b` or `c` …``.
/// What it calls a variant is the one field of an object, such as the kind of a step.
fn json_problem(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let unknown_name = ["unknown field `", "unknown variant `"]
        .into_iter()
        .find_map(|at| message.strip_prefix(at));
    let Some(rest) = unknown_name else {
        return Problem::new(Code::BadJson, message);
    };
    let (field, rest) = rest.split_once("`, ").unwrap_or((rest, ""));
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    unknown("field", field, &known)
}

/// The problem of a name that is not known.
#[must_use]
pub fn unknown(what: &'static str, name: &str, known: &[&str]) -> Problem {
    let mut detail = format!("there is no {what} `{name}`");
    let suggestion = similar(name, known);
    match suggestion {
        Some(best) => detail.push_str(&format!("; did you mean `{best}`?")),
        None if known.is_empty() => detail.push_str("; none is taken here"),
        None => detail.push_str(&format!("; known: {}", known.join(", "))),
    }
    let problem = Problem::new(Code::UnknownField, detail).with(what, name);
    match suggestion {
        Some(best) => problem.with("suggestion", best),
        None => problem,
    }
}

fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|other| (strsim::jaro_winkler(name, other), *other));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR).then_some(best.1)
}

/// The parameters of a URL's query, each at most once.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `text` (what stands behind the `?`). As in forms, `+` is a space.
    ///
    /// # Errors
    /// `BAD_ENCODING`, `UNKNOWN_FIELD` for a name that is not in `known`, `BAD_PARAMETER` for a name
    /// given twice.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (form_decode(name)?, form_decode(value)?);
            if !known.contains(&name.as_str()) {
                return Err(unknown("parameter", &name, known));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_parameter(&name, format!("`{name}` is given twice")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// The value of `name`, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The number `name`, from `low` to `high`.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn number(&self, name: &str, low: u64, high: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        in_range(name, text.parse().ok(), low, high).map(Some)
    }

    /// The switch `name`: absent, or given with no value, `true`, `1`, `false` or `0`.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => {
                let detail = format!("`{name}` is true or false, not `{other}`");
                Err(Problem::bad_parameter(name, detail))
            }
        }
    }

    /// One of several names, turned into a value by `from_name`.
    ///
    /// # Errors
    /// `BAD_PARAMETER` with a suggestion.
    pub fn choice<T>(
        &self,
        name: &str,
        known: &[&str],
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        from_name(text).map(Some).ok_or_else(|| not_one_of(name, text, known))
    }
}

/// The problem of a value that is none of `known`.
#[must_use]
pub fn not_one_of(name: &str, text: &str, known: &[&str]) -> Problem {
    let mut detail = format!("`{name}` is one of {}, not `{text}`", known.join(", "));
    if let Some(best) = similar(text, known) {
        detail.push_str(&format!("; did you mean `{best}`?"));
    }
    Problem::bad_parameter(name, detail)
}

/// Checks that a number was given and lies in its range.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn in_range(name: &str, number: Option<u64>, low: u64, high: u64) -> Result<u64, Problem> {
    number.filter(|n| (low..=high).contains(n)).ok_or_else(|| {
        let detail = format!("`{name}` is a whole number from {low} to {high}");
        Problem::bad_parameter(name, detail).with("min", low).with("max", high)
    })
}

fn form_decode(text: &str) -> Result<String, Problem> {
    let spaced: Cow<'_, str> =
        if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode(spaced.as_bytes()).map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
