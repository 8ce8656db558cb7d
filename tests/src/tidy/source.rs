//! Finds the files of the repository, and separates code from comments and strings.
use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// Content.
    pub text: String,
}

impl Source {
    /// A file with this content, for tests of the rules.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Does the name end like this?
    #[must_use]
    pub fn has_extension(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, last)| last == extension)
    }

    /// Lines, counted from 1, with comments and the insides of strings blanked.
    #[must_use]
    pub fn code_lines(&self) -> Vec<(usize, String)> {
        let code = blank_comments_and_strings(&self.text);
        code.lines().enumerate().map(|(i, line)| (i + 1, line.to_owned())).collect()
    }
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("invariant: the tests crate lies in the workspace").to_owned()
}

/// All text files below `root`, sorted by path, without `.git` and build output.
///
/// # Panics
/// If a folder or file cannot be read.
#[must_use]
pub fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort_by(|a: &Source, b: &Source| a.path.cmp(&b.path));
    found
}

/// Names of the folders directly below `root`, sorted.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn top_level_folders(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = entries(root)
        .into_iter()
        .filter(|path| path.is_dir() && !is_skipped(path))
        .map(|path| relative(root, &path))
        .collect();
    names.sort();
    names
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for path in entries(folder) {
        if is_skipped(&path) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push(Source { path: relative(root, &path), text });
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()))
        .map(|entry| entry.expect("a folder of the repository can be read").path())
        .collect()
}

fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    matches!(name.as_deref(), Some(".git" | "target"))
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).expect("invariant: found below the root");
    inside.to_string_lossy().replace('\\', "/")
}

/// Replaces comments and the insides of string and character literals by spaces. Line breaks stay,
/// so that line numbers do.
#[must_use]
pub fn blank_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        if is_plain(&chars, at) {
            out.extend(&chars[at..end]);
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        }
        at = end;
    }
    out
}

/// Does code, and neither a comment nor a literal, start here?
fn is_plain(chars: &[char], at: usize) -> bool {
    let starts = |prefix: &str| starts_with(chars, at, prefix);
    !(starts("//")
        || starts("/*")
        || starts("\"")
        || raw_string_hashes(chars, at).is_some()
        || char_literal_end(chars, at).is_some())
}

/// Where the comment, literal or single character of code that starts at `at` ends.
fn token_end(chars: &[char], at: usize) -> usize {
    if starts_with(chars, at, "//") {
        return find(chars, at, "\n").unwrap_or(chars.len());
    }
    if starts_with(chars, at, "/*") {
        return block_comment_end(chars, at);
    }
    if let Some(hashes) = raw_string_hashes(chars, at) {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = at + hashes + 2;
        return find(chars, body, &close).map_or(chars.len(), |i| i + close.len());
    }
    if chars[at] == '"' {
        return string_end(chars, at);
    }
    char_literal_end(chars, at).unwrap_or(at + 1)
}

fn starts_with(chars: &[char], at: usize, prefix: &str) -> bool {
    prefix.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c))
}

fn find(chars: &[char], from: usize, what: &str) -> Option<usize> {
    (from..chars.len()).find(|&i| starts_with(chars, i, what))
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = at;
    while i < chars.len() {
        if starts_with(chars, i, "/*") {
            depth += 1;
            i += 2;
        } else if starts_with(chars, i, "*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// Number of `#` if a raw string (`r"`, `r#"`, …) starts here.
fn raw_string_hashes(chars: &[char], at: usize) -> Option<usize> {
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let after_b = at > 0 && chars[at - 1] == 'b';
    if chars[at] != 'r' || (inside_word && !after_b) {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// End of a character literal; `None` for a lifetime.
fn char_literal_end(chars: &[char], at: usize) -> Option<usize> {
    if chars[at] != '\'' {
        return None;
    }
    if chars.get(at + 1) == Some(&'\\') {
        return find(chars, at + 3, "'").map(|i| i + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}
