//! Operations: one entry each, from which routing, strictness of parameters, metrics and the
//! OpenAPI document all follow. What is not in an entry does not exist.
use crate::gate::body::BodyKind;
use actix_web::Route;
use actix_web::http::Method;
use std::sync::Arc;
use troupe_types::Code;
use utoipa::ToSchema;
use utoipa::openapi::{Ref, RefOr, Schema};

/// A method that operations use. GET answers HEAD as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Sets.
    Put,
    /// Does.
    Post,
    /// Removes.
    Delete,
    /// Changes in part.
    Patch,
}

impl Verb {
    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
        }
    }

    fn answers(self, method: &Method) -> bool {
        method.as_str() == self.as_str() || (self == Self::Get && *method == Method::HEAD)
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header.
    Header,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A switch.
    Switch,
    /// One of these names.
    Choice(&'static [&'static str]),
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it holds.
    pub holds: Holds,
    /// Meaning, and the default if there is one.
    pub about: &'static str,
}

/// A parameter of the query.
#[must_use]
pub const fn query(name: &'static str, holds: Holds, about: &'static str) -> Param {
    Param { name, place: Place::Query, holds, about }
}

/// A parameter of the path.
#[must_use]
pub const fn path(name: &'static str, holds: Holds, about: &'static str) -> Param {
    Param { name, place: Place::Path, holds, about }
}

/// A header.
#[must_use]
pub const fn header(name: &'static str, about: &'static str) -> Param {
    Param { name, place: Place::Header, holds: Holds::Text, about }
}

/// Adds the schemas that a type needs, and answers a reference to it.
pub type SchemaOf = fn(&mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema>;

/// The [`SchemaOf`] of a type.
pub fn schema<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema> {
    T::schemas(all);
    all.push((T::name().into_owned(), T::schema()));
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

/// What a body or reply is.
#[derive(Clone, Copy)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// JSON.
    Json(SchemaOf),
    /// One JSON document a line.
    Lines(SchemaOf),
    /// Bytes.
    Bytes,
    /// Text of this media type.
    Text(&'static str),
}

/// A reply that is no problem.
#[derive(Clone, Copy)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// When it is given.
    pub about: &'static str,
    /// Its body.
    pub content: Content,
}

/// One operation of the API.
#[derive(Clone, Copy)]
pub struct Operation {
    /// Method.
    pub verb: Verb,
    /// Path, as actix takes it.
    pub path: &'static str,
    /// Unique name, used in metrics and as operation id.
    pub name: &'static str,
    /// Group in the documentation.
    pub tag: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What one must know to use it.
    pub about: &'static str,
    /// Parameters besides `timeout`, `trace` and (with `data`) `consistency`.
    pub params: &'static [Param],
    /// What its body is.
    pub body: BodyKind,
    /// Schema of the body.
    pub takes: Content,
    /// Replies that are no problems.
    pub replies: &'static [Reply],
    /// Codes of problems, besides those that every operation may answer.
    pub errors: &'static [Code],
    /// A command that a reader can try.
    pub curl: &'static str,
    /// Does it change anything?
    pub writes: bool,
    /// Does it read or write rows of users?
    pub data: bool,
    /// Its handler.
    pub route: fn() -> Route,
}

/// What most operations have in common.
pub const READ: Operation = Operation {
    verb: Verb::Get,
    path: "",
    name: "",
    tag: "",
    summary: "",
    about: "",
    params: &[],
    body: BodyKind::None,
    takes: Content::Nothing,
    replies: &[],
    errors: &[],
    curl: "",
    writes: false,
    data: false,
    route: Route::new,
};

/// An operation and its number.
#[derive(Clone, Copy)]
pub struct Placed {
    /// Position in [`super::all`].
    pub index: usize,
    /// The operation.
    pub operation: &'static Operation,
}

/// The operations of one path.
#[derive(Clone)]
pub struct ResourceOps(Arc<[Placed]>);

impl ResourceOps {
    /// Of these operations.
    #[must_use]
    pub fn new(operations: Vec<Placed>) -> Self {
        Self(operations.into())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Placed] {
        &self.0
    }

    /// The one that answers `method`.
    #[must_use]
    pub fn find(&self, method: &Method) -> Option<Placed> {
        self.0.iter().copied().find(|placed| placed.operation.verb.answers(method))
    }

    /// For the header `Allow`.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut methods: Vec<&str> = self.0.iter().map(|p| p.operation.verb.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.join(", ")
    }
}
