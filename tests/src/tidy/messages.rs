//! `docs/MESSAGES.md`: every message between actors, read from the sources.
//!
//! A message is what implements the cell's `Message`; its receivers are those that implement `On`
//! for it; who sends it and what it means stands in its `///`, which begins `From → To`.
use super::Finding;
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A message, as the sources describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDoc {
    /// Name in traces, metrics and recordings.
    pub name: String,
    /// `Must`, `Droppable` or `Ask`.
    pub delivery: String,
    /// Who sends it; empty if its description does not say so.
    pub from: String,
    /// What it means; empty if nobody wrote that down.
    pub what: String,
    /// File of its type.
    pub path: String,
    /// Line of the `impl Message`, counted from 1.
    pub line: usize,
    /// Rust name of its type.
    type_name: String,
}

/// An actor and the messages that it takes, in the order of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorDoc {
    /// Kind, in the registry and the metrics.
    pub kind: String,
    /// File that says what it is.
    pub path: String,
    /// What it takes.
    pub messages: Vec<MessageDoc>,
}

const BEGIN_MESSAGE: &str = "impl Message for ";
const BEGIN_ACTOR: &str = "impl Acts for ";
const BEGIN_ON: &str = "impl On<";

/// All actors by name, and the messages that no actor takes.
#[must_use]
pub fn actors(sources: &[Source]) -> (BTreeMap<String, ActorDoc>, Vec<MessageDoc>) {
    let rust: Vec<&Source> = sources.iter().filter(|source| is_product(source)).collect();
    let mut actors: BTreeMap<String, ActorDoc> = rust.iter().flat_map(|s| actors_of(s)).collect();
    let taken: BTreeSet<(String, String)> = rust.iter().flat_map(|s| takers_of(s)).collect();
    let mut untaken = Vec::new();
    for message in rust.iter().flat_map(|source| messages_of(source)) {
        let mut is_taken = false;
        for (name, actor) in &mut actors {
            if taken.contains(&(message.type_name.clone(), name.clone())) {
                actor.messages.push(message.clone());
                is_taken = true;
            }
        }
        if !is_taken {
            untaken.push(message);
        }
    }
    (actors, untaken)
}

/// Messages that are not described, or that nobody takes.
#[must_use]
pub fn problems(sources: &[Source]) -> Vec<Finding> {
    let (actors, untaken) = actors(sources);
    let finding = |message: &MessageDoc, problem: &str| Finding {
        path: message.path.clone(),
        line: message.line,
        problem: format!("the message {}: {problem}", message.name),
    };
    let mut findings: Vec<Finding> =
        untaken.iter().map(|message| finding(message, "no actor takes it")).collect();
    for message in actors.values().flat_map(|actor| &actor.messages) {
        if message.from.is_empty() {
            findings.push(finding(message, "its `///` begins with `From → To`"));
        }
        if message.what.is_empty() {
            findings.push(finding(message, "its `///` says what it means"));
        }
    }
    findings
}

/// The document.
#[must_use]
pub fn markdown(sources: &[Source]) -> String {
    let mut text = String::from(
        "# Messages\n\n\
         <!-- Made from the sources by the tests: make golden-update -->\n\n\
         Every message between actors, by the actor that takes it. *Must*: always queued.\n\
         *Droppable*: dropped and counted when the mailbox is full; the sender sends again.\n\
         *Ask*: a request, refused when the mailbox is full, and not handled once its deadline\n\
         passed. The whole contract is [SEMANTICS.md](SEMANTICS.md).\n",
    );
    for (name, actor) in actors(sources).0 {
        let ActorDoc { kind, path, messages } = actor;
        let _ = write!(
            text,
            "\n## {name}\n\nKind `{kind}`, in `{path}`.\n\n\
             | message | from | delivery | what |\n|---|---|---|---|\n"
        );
        for message in messages {
            let MessageDoc { name, from, delivery, what, .. } = message;
            let _ = writeln!(text, "| `{name}` | {from} | {delivery} | {what} |");
        }
    }
    text
}

fn is_product(source: &Source) -> bool {
    let is_test = source.name() == "tests.rs"
        || source.path.starts_with("tests/")
        || source.path.contains("/tests/");
    source.has_extension("rs") && !is_test
}

/// Lines of code that begin with `begin`, as (line from 1, rest of the line).
fn lines_with(source: &Source, begin: &str) -> Vec<(usize, String)> {
    let lines = source.code_lines().into_iter();
    lines.filter_map(|(i, code)| Some((i, code.strip_prefix(begin)?.to_owned()))).collect()
}

fn ident(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn actors_of(source: &Source) -> Vec<(String, ActorDoc)> {
    let actor = |(line, rest): (usize, String)| {
        let kind = quoted(&block(source, line), "const KIND");
        (ident(&rest), ActorDoc { kind, path: source.path.clone(), messages: Vec::new() })
    };
    lines_with(source, BEGIN_ACTOR).into_iter().map(actor).collect()
}

/// Message and actor, for each `impl On<Message> for Actor`.
fn takers_of(source: &Source) -> Vec<(String, String)> {
    let pair = |(_, rest): (usize, String)| {
        let (message, actor) = rest.split_once("> for ")?;
        Some((ident(message), ident(actor)))
    };
    lines_with(source, BEGIN_ON).into_iter().filter_map(pair).collect()
}

fn messages_of(source: &Source) -> Vec<MessageDoc> {
    let message = |(line, rest): (usize, String)| {
        let type_name = ident(&rest);
        let body = block(source, line);
        let delivery = body.iter().find_map(|line| line.split_once("= Delivery::"));
        let (from, what) = described(&doc_of(source, &type_name));
        MessageDoc {
            name: quoted(&body, "const NAME"),
            delivery: delivery.map(|(_, after)| ident(after)).unwrap_or_default(),
            from,
            what,
            path: source.path.clone(),
            line,
            type_name,
        }
    };
    lines_with(source, BEGIN_MESSAGE).into_iter().map(message).collect()
}

/// Lines of the block that begins at `line`, up to the brace that closes it.
fn block(source: &Source, line: usize) -> Vec<String> {
    let lines = source.text.lines().skip(line - 1);
    lines.take_while(|line| !line.starts_with('}')).map(str::to_owned).collect()
}

/// The string literal in the line that has `constant`.
fn quoted(lines: &[String], constant: &str) -> String {
    let line = lines.iter().find(|line| line.contains(constant));
    line.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
}

/// The `///` of a type of this file, as one line.
fn doc_of(source: &Source, type_name: &str) -> String {
    let is_it = |line: &str| {
        let visible = line.strip_prefix("pub(super) ").or_else(|| line.strip_prefix("pub "));
        let item = visible.unwrap_or(line);
        let item = item.strip_prefix("struct ").or_else(|| item.strip_prefix("enum "));
        item.is_some_and(|item| ident(item) == type_name)
    };
    let lines: Vec<&str> = source.text.lines().collect();
    let Some(at) = lines.iter().position(|line| is_it(line)) else { return String::new() };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with(['/', '#']));
    let mut doc: Vec<&str> =
        above.filter_map(|line| line.strip_prefix("///")).map(str::trim).collect();
    doc.reverse();
    doc.join(" ")
}

/// Splits `From → To: what` into who sends it, and what it means.
fn described(doc: &str) -> (String, String) {
    let Some((from, rest)) = doc.split_once(" → ") else {
        return (String::new(), for_table(doc));
    };
    let end = [": ", ". "].iter().filter_map(|end| rest.find(end)).min();
    let what = end.map_or("", |end| &rest[end + 2..]);
    (for_table(from), for_table(without_class(what)))
}

/// Text without the class of delivery in front: that has a column of its own.
fn without_class(text: &str) -> &str {
    let after = ["Must", "Droppable", "Ask"].iter().find_map(|class| text.strip_prefix(class));
    after.and_then(|rest| rest.strip_prefix([':', ';', '.'])).map_or(text, str::trim_start)
}

/// Text for a cell of a table: links of rustdoc become code, and it begins with a capital letter.
fn for_table(text: &str) -> String {
    let text = text.replace("[`crate::", "`").replace("[`", "`").replace("`]", "`");
    let text = text.replace('|', "\\|");
    let mut chars = text.trim().chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    first + chars.as_str()
}
