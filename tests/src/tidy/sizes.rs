//! Sizes of files and functions. Orientation for people, never a gate: a long function that reads
//! as one thought stays.
use super::source::Source;

/// A file or function and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Path, and for a function its line and name.
    pub what: String,
    /// Lines.
    pub lines: usize,
}

/// Rust files longer than `limit` lines, longest first.
#[must_use]
pub fn long_files(sources: &[Source], limit: usize) -> Vec<Size> {
    let rust = sources.iter().filter(|source| source.has_extension("rs"));
    let sizes = rust.map(|s| Size { what: s.path.clone(), lines: s.text.lines().count() });
    longest_first(sizes.filter(|size| size.lines > limit).collect())
}

/// Functions longer than `limit` lines from signature to closing brace, longest first.
#[must_use]
pub fn long_functions(sources: &[Source], limit: usize) -> Vec<Size> {
    let rust = sources.iter().filter(|source| source.has_extension("rs"));
    longest_first(rust.flat_map(functions).filter(|size| size.lines > limit).collect())
}

fn longest_first(mut sizes: Vec<Size>) -> Vec<Size> {
    sizes.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.what.cmp(&b.what)));
    sizes
}

/// All functions of a file that have a body.
#[must_use]
pub fn functions(source: &Source) -> Vec<Size> {
    let lines = source.code_lines();
    let starts = lines.iter().enumerate().filter_map(|(i, (_, code))| Some((i, fn_name(code)?)));
    starts
        .filter_map(|(i, name)| {
            let length = body_length(&lines[i..])?;
            Some(Size { what: format!("{}:{} {name}", source.path, i + 1), lines: length })
        })
        .collect()
}

fn fn_name(code: &str) -> Option<String> {
    let (before, after) = code.split_once("fn ")?;
    let only_modifiers = before
        .split_whitespace()
        .all(|word| word.starts_with("pub") || ["const", "async", "unsafe"].contains(&word));
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (only_modifiers && !name.is_empty()).then_some(name)
}

/// Lines up to the brace that closes the first one; `None` if a `;` ends it before any brace.
fn body_length(lines: &[(usize, String)]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (i, (_, code)) in lines.iter().enumerate() {
        for c in code.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => depth += 1,
                '}' if depth == 1 => return Some(i + 1),
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}
