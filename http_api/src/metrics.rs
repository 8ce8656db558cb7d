//! `/metrics`: figures of the gateway, of all actors by kind, and of other parts of the node.
use crate::routes;
use crate::state::HttpState;
use actix_web::http::StatusCode;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;
use troupe_actors::registry::ActorEntry;

/// Upper bounds of the latency histogram's buckets, in seconds: 0.1 ms to 10 s.
const BUCKETS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];
/// Classes of HTTP status, 2xx to 5xx.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Kind of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name; counters end in `_total`.
    pub name: &'static str,
    /// Meaning and unit; the same for all samples of one name.
    pub help: &'static str,
    /// Kind; the same for all samples of one name.
    pub kind: SampleKind,
    /// Names and values of labels.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
}

/// Figures of one operation, made once so that a request only counts.
struct Route {
    classes: [IntCounter; 4],
    latency: Histogram,
}

/// Figures of one gateway.
pub struct Metrics {
    registry: Registry,
    routes: Vec<Route>,
    refused: IntCounterVec,
}

impl Metrics {
    /// With all figures at 0.
    ///
    /// # Errors
    /// Two figures have the same name, which is a bug.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("troupe_http_requests_total", "Requests by operation and status class."),
            &["operation", "status"],
        )?;
        let refused = IntCounterVec::new(
            Opts::new("troupe_http_refused_total", "Requests without an operation, by status."),
            &["status"],
        )?;
        let options = HistogramOpts::new(
            "troupe_http_request_seconds",
            "Time from the head of a request to the head of its reply.",
        );
        let latency =
            prometheus::HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["operation"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(latency.clone()))?;
        let route = |operation: &'static routes::Operation| Route {
            classes: CLASSES.map(|class| requests.with_label_values(&[operation.name, class])),
            latency: latency.with_label_values(&[operation.name]),
        };
        Ok(Self { routes: routes::all().into_iter().map(route).collect(), registry, refused })
    }

    /// Counts a reply of the operation with this number.
    pub fn served(&self, index: usize, status: StatusCode, took: Duration) {
        let route = &self.routes[index];
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(CLASSES.len() - 1);
        route.classes[class].inc();
        route.latency.observe(took.as_secs_f64());
    }

    /// Counts a reply to a request that no operation was found for.
    pub fn refused(&self, status: StatusCode) {
        self.refused.with_label_values(&[status.as_str()]).inc();
    }

    /// All figures in Prometheus' text format.
    #[must_use]
    pub fn render(&self, state: &HttpState) -> String {
        let gathered = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather());
        let mut text = gathered.unwrap_or_default();
        let mut samples = admission(state);
        samples.extend(actors(&state.parts.env.registry.list()));
        samples.extend((state.parts.extra_metrics)());
        write_samples(&mut text, &samples);
        text
    }
}

/// Writes samples in Prometheus' text format, those of one name together.
fn write_samples(text: &mut String, samples: &[Sample]) {
    let mut by_name: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(sample.name).or_default().push(sample);
    }
    for (name, samples) in by_name {
        let kind = match samples[0].kind {
            SampleKind::Counter => "counter",
            SampleKind::Gauge => "gauge",
        };
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", samples[0].help);
        for sample in samples {
            let _ = writeln!(text, "{name}{} {}", labels(&sample.labels), sample.value);
        }
    }
}

fn labels(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let label = |(name, value): &(&str, String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(","))
}

#[expect(clippy::cast_precision_loss, reason = "figures for charts")]
fn figure(number: u64) -> f64 {
    number as f64
}

fn admission(state: &HttpState) -> Vec<Sample> {
    let admission = &state.admission;
    let sample = |name, help, kind, value| Sample {
        name,
        help,
        kind,
        labels: Vec::new(),
        value: figure(value),
    };
    vec![
        sample(
            "troupe_http_in_flight_requests",
            "Requests that are worked on.",
            SampleKind::Gauge,
            admission.requests(),
        ),
        sample(
            "troupe_http_in_flight_bytes",
            "Bytes of the bodies of these requests.",
            SampleKind::Gauge,
            admission.bytes(),
        ),
        sample(
            "troupe_http_admission_refused_total",
            "Requests refused because the node worked on too many.",
            SampleKind::Counter,
            admission.refused(),
        ),
    ]
}

/// A figure of an actor.
type Figure = fn(&ActorEntry) -> u64;

/// Figures of actors, summed over each kind.
const ACTOR_FIGURES: [(&str, &str, SampleKind, Figure); 8] = [
    ("troupe_actors", "Actors.", SampleKind::Gauge, |_| 1),
    ("troupe_actor_depth", "Messages that wait.", SampleKind::Gauge, |actor| {
        actor.depth.load(Ordering::Relaxed) as u64
    }),
    ("troupe_actor_queued_bytes", "Bytes that wait.", SampleKind::Gauge, |actor| {
        actor.bytes.load(Ordering::Relaxed) as u64
    }),
    ("troupe_actor_handled_total", "Messages handled.", SampleKind::Counter, |actor| {
        actor.handled.load(Ordering::Relaxed)
    }),
    ("troupe_actor_dropped_total", "Messages dropped.", SampleKind::Counter, |actor| {
        actor.dropped.load(Ordering::Relaxed)
    }),
    ("troupe_actor_refused_total", "Requests refused as busy.", SampleKind::Counter, |actor| {
        actor.refused.load(Ordering::Relaxed)
    }),
    ("troupe_actor_restarts_total", "Restarts.", SampleKind::Counter, ActorEntry::restarts),
    (
        "troupe_actor_busy_microseconds_total",
        "Time in handlers, in microseconds.",
        SampleKind::Counter,
        |actor| actor.busy_us.load(Ordering::Relaxed),
    ),
];

fn actors(all: &[std::sync::Arc<ActorEntry>]) -> Vec<Sample> {
    let mut kinds: BTreeMap<&'static str, Vec<&ActorEntry>> = BTreeMap::new();
    for actor in all {
        kinds.entry(actor.kind).or_default().push(actor);
    }
    let mut samples = Vec::new();
    for (name, help, kind, figure_of) in ACTOR_FIGURES {
        samples.extend(kinds.iter().map(|(actor_kind, actors)| Sample {
            name,
            help,
            kind,
            labels: vec![("kind", (*actor_kind).to_owned())],
            value: figure(actors.iter().map(|actor| figure_of(actor)).sum()),
        }));
    }
    samples
}
